"""Random hours of an autoscaler's life, for comparing with the real controller. Deterministic by seed.

An hour is one JSON document: an autoscaling/v2 manifest, the controller's flags and the observations of each sync (in
the format of `harness.autoscaling.replay`). A small model of a Deployment follows the core's own decisions: pods wait,
start, become ready, flap, fail, end slowly; samples come late or not; sources fall silent; scales get overruled.
"""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass, field
from typing import Any

from harness.autoscaling import ControllerConfig, Decision, HpaSpec, State, decide, parse_milli
from harness.autoscaling.replay import read_observation

HOUR_SECONDS = 3600.0
PERIODS_SECONDS = (1, 15, 15, 30, 45, 60, 60, 90, 120, 300, 600, 1800)
WINDOWS_SECONDS = (0, 0, 0, 0, 15, 30, 60, 60, 120, 300, 900, 3600)
MEBIBYTE = 2**20

Document = dict[str, Any]


def make_hour(seed: int, *, seconds: float = HOUR_SECONDS, simple: bool = False) -> Document:
    """Return one random hour; `simple` leaves pods out (external AverageValue metrics only), as three in ten do.

    Such an hour is small, and its rate policies are seldom drowned by anything else.
    """
    return live(seed, seconds=seconds, simple=simple)[0]


def live(seed: int, *, seconds: float = HOUR_SECONDS, simple: bool = False) -> tuple[Document, list[Decision]]:
    """Return a random hour and what the core decided in it."""
    rng = random.Random(seed)
    simple = simple or rng.random() < 0.3
    manifest, flags = _manifest(rng, simple=simple), _flags(rng)
    world = _World(rng, manifest, simple=simple)
    spec = HpaSpec.from_manifest(manifest, controller=ControllerConfig(**flags))
    observations, decisions, state, t = [], [], State(), 0.0
    jitters = rng.choice([(0.0,), (0.0,), (0.0, 0.0, 1.0), (0.0, 0.25, 3.3)])
    while t < seconds:
        t = round(t + flags["sync_seconds"] + rng.choice(jitters), 3)
        document = world.observe(t)
        observations.append(document)
        _, observation = read_observation(document)
        decision, state = decide(spec, state, observation, now_seconds=t)
        decisions.append(decision)
        world.wanted = decision.desired
    return {"id": str(seed), "hpa": manifest, "controller": flags, "observations": observations}, decisions


def _flags(rng: random.Random) -> dict[str, Any]:
    return {
        "sync_seconds": rng.choice([15.0] * 6 + [5.0, 7.5, 20.0, 30.0]),
        "tolerance": rng.choice([0.1] * 6 + [0.0, 0.05, 0.3]),
        "downscale_stabilization_seconds": rng.choice([300] * 4 + [0, 60, 900]),
        "cpu_initialization_seconds": rng.choice([300.0] * 4 + [0.0, 60.0, 120.0]),
        "initial_readiness_delay_seconds": rng.choice([30.0] * 3 + [0.0, 10.0]),
    }


def _manifest(rng: random.Random, *, simple: bool) -> Document:
    metrics = _metrics(rng, simple=simple)
    outside = any(metric["type"] == "External" for metric in metrics)
    minimum = rng.choice([0, 0, 1, 1, 2, 3, 8] if outside else [1, 1, 2, 3, 8])
    spec: Document = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "target"},
        "minReplicas": minimum,
        "maxReplicas": minimum + rng.choice([1, 4, 10, 20, 40] if not simple else [4, 20, 60, 200, 1000]),
        "metrics": metrics,
    }
    if rng.random() < 0.85:
        spec["behavior"] = _behavior(rng)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "hpa"},
        "spec": spec,
    }


def _metrics(rng: random.Random, *, simple: bool) -> list[Document]:
    kinds = (
        ["average"] if simple else ["cpu%", "cpu%", "cpu", "memory%", "memory", "pods", "average", "average", "value"]
    )
    count = rng.choice([1, 1, 2, 3, 4])
    return [_metric(rng, rng.choice(kinds), index) for index in range(count)]


def _metric(rng: random.Random, kind: str, index: int) -> Document:
    if kind in ("average", "value"):
        target = {"type": "AverageValue", "averageValue": rng.choice(["200", "16", "7", "1500m", "1"])}
        if kind == "value":
            target = {"type": "Value", "value": rng.choice(["30", "100", "2500m"])}
        return {"type": "External", "external": {"metric": {"name": f"q{index}"}, "target": target}}
    if kind == "pods":
        target = {"type": "AverageValue", "averageValue": rng.choice(["10", "2500m"])}
        return {"type": "Pods", "pods": {"metric": {"name": f"m{index}"}, "target": target}}
    name, percent = kind.rstrip("%"), kind.endswith("%")
    target = {"type": "Utilization", "averageUtilization": rng.choice([50, 60, 70, 80, 120, 200])}
    if not percent:
        target = {
            "type": "AverageValue",
            "averageValue": rng.choice(["100m", "333m"] if name == "cpu" else ["64Mi", "1G"]),
        }
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def _behavior(rng: random.Random) -> Document:
    directions = rng.choice([(), ("scaleUp",), ("scaleDown",), *[("scaleUp", "scaleDown")] * 5])
    return {direction: _rules(rng) for direction in directions}


def _rules(rng: random.Random) -> Document:
    rules: Document = {}
    if rng.random() < 0.8:
        rules["policies"] = [_policy(rng) for _ in range(rng.choice([1, 2, 2, 3]))]
    if rng.random() < 0.6:
        rules["stabilizationWindowSeconds"] = rng.choice(WINDOWS_SECONDS)
    if rng.random() < 0.5:
        rules["selectPolicy"] = rng.choice(["Max", "Max", "Min", "Min", "Disabled"])
    if rng.random() < 0.1:
        rules["tolerance"] = rng.choice(["0", "0.05", "0.2", "37m"])
    return rules


def _policy(rng: random.Random) -> Document:
    if rng.random() < 0.5:
        return {"type": "Pods", "value": rng.choice([1, 1, 2, 3, 4, 7]), "periodSeconds": rng.choice(PERIODS_SECONDS)}
    value = rng.choice([1, 5, 10, 33, 50, 100, 100, 150, 900])
    return {"type": "Percent", "value": value, "periodSeconds": rng.choice(PERIODS_SECONDS)}


@dataclass
class _Pod:
    name: str
    scheduled_at: float
    ready_at: float
    ready: bool = False
    changed_at: float | None = None
    failed: bool = False
    gone_at: float | None = None
    requests: dict[str, str] = field(default_factory=dict)


class _World:
    """A Deployment and its load; `wanted` is the scale's spec."""

    def __init__(self, rng: random.Random, manifest: Document, *, simple: bool) -> None:
        self.rng, self.simple = rng, simple
        self.metrics = manifest["spec"]["metrics"]
        self.maximum = manifest["spec"]["maxReplicas"]
        self.wanted = rng.choice([0, 1, 1, 2, 5, self.maximum, self.maximum + 3])
        self.pods: list[_Pod] = []
        self.made = 0
        self.load = rng.uniform(0, self.maximum)  # in pods' worth of work at the target
        pauses = 5 if manifest["spec"]["minReplicas"] == 0 else 1  # nothing else gets to zero
        self.style = rng.choice(["walk", "steps", "burst", "noise", "saw", *["pauses"] * pauses])
        self.noise = rng.choice([0.0, 0.05, 0.5])
        self.trouble = rng.choice([0.0, 0.0, 0.02, 0.1])
        self.boot = rng.choice([(0, 0), (5, 20), (30, 200)])
        self.silent_until: dict[str, float] = {}
        self.old = rng.random() < 0.5  # whether the first pods have run for long

    def observe(self, t: float) -> Document:
        """Let the world go on until `t` and return what a sync sees."""
        self._move_load(t)
        if self.rng.random() < self.trouble / 5:
            self.wanted = self.rng.choice([0, 1, self.rng.randint(0, self.maximum + 5)])
        elif self.wanted == 0 and self.rng.random() < 0.1:  # as KEDA would, or somebody
            self.wanted = self.rng.choice([1, 1, 3])
        alive = self.rng.choice([self.wanted] * 8 + [max(self.wanted - 1, 0), self.wanted + 1])
        if not self.simple:
            self._follow(t)
            alive = sum(pod.gone_at is None and not pod.failed for pod in self.pods)
        document: Document = {"t": t, "replicas": {"spec": self.wanted, "status": alive}}
        if self.pods:
            document["pods"] = [self._pod(pod, t) for pod in self.pods]
        document["external"] = self._external()
        unavailable = self._silent(t)
        if unavailable:
            document["unavailable"] = unavailable
        return document

    def _move_load(self, t: float) -> None:
        rng, top = self.rng, self.maximum * 1.3
        if self.style == "walk":
            self.load = min(max(self.load * rng.uniform(0.85, 1.18), 0.01), top)
        elif self.style == "noise" or (self.style == "steps" and rng.random() < 0.04):
            self.load = rng.uniform(0, top)
        elif self.style == "saw":
            self.load = top * abs((t % 600) / 300 - 1)
        elif self.style == "pauses":
            self.load = rng.uniform(0.1, 1.3) * self.maximum if t % 900 < 300 else 0.0
        elif self.style == "burst":
            self.load = rng.uniform(0.5, 1.3) * self.maximum if t % 1200 < 200 else rng.choice([0.0, 0.3, 1.0])

    def _follow(self, t: float) -> None:
        rng = self.rng
        self.pods = [pod for pod in self.pods if pod.gone_at is None or pod.gone_at > t]
        for pod in self.pods:
            self._live(pod, t)
        alive = [pod for pod in self.pods if pod.gone_at is None and not pod.failed]
        for pod in alive[self.wanted :]:
            pod.gone_at = t + rng.choice([0.1, 20, 120])
        for _ in range(self.wanted - len(alive)):
            self.pods.append(self._new(t))
        self.pods = [pod for pod in self.pods if not (pod.failed and rng.random() < 0.1)]

    def _new(self, t: float) -> _Pod:
        rng = self.rng
        self.made += 1
        born = t - 900 if self.old and self.made <= 5 else t
        scheduled = born + rng.choice([0, 0, rng.uniform(*self.boot)])
        pod = _Pod(f"p{self.made}", scheduled, scheduled + rng.choice([0, rng.uniform(*self.boot), 15, 30]))
        pod.requests = {"cpu": rng.choice(["200m", "200m", "1"]), "memory": rng.choice(["256Mi", "1Gi"])}
        if rng.random() < self.trouble / 5:
            pod.requests = rng.choice([{}, {"cpu": "0", "memory": "0"}])
        pod.changed_at = round(scheduled, 1)
        return pod

    def _live(self, pod: _Pod, t: float) -> None:
        due = pod.ready_at <= t
        flaps = self.rng.random() < self.trouble / 2
        if due and not pod.ready:
            pod.ready, pod.changed_at = True, round(self.rng.choice([pod.ready_at, t]), 1)
        elif pod.ready and flaps:
            pod.ready, pod.changed_at = False, t
            pod.ready_at = t + self.rng.choice([5, 60])
        pod.failed = pod.failed or self.rng.random() < self.trouble / 20

    def _pod(self, pod: _Pod, t: float) -> Document:
        rng = self.rng
        running = pod.scheduled_at <= t
        document: Document = {"name": pod.name, "phase": "Running" if running else "Pending", "requests": pod.requests}
        if pod.failed:
            document["phase"] = rng.choice(["Failed", "Failed", "Succeeded", "Unknown"])
        if pod.gone_at is not None:
            document["deleting"] = True
        if running:
            document["startTime"] = round(pod.scheduled_at, 1)
        if not rng.random() < self.trouble / 5:
            document["ready"] = pod.ready
            document["lastTransition"] = None if rng.random() < self.trouble / 20 else pod.changed_at
        document["timestamp"] = None if rng.random() < self.trouble / 20 else round(t - rng.choice([0, 5, 15, 40]), 1)
        document["window"] = rng.choice([15, 15, 30, 60])
        document["usage"], document["custom"] = self._usage(pod), {}
        for metric in self.metrics:
            if metric["type"] == "Pods" and rng.random() >= self.trouble:
                average = parse_milli(metric["pods"]["target"]["averageValue"])
                document["custom"][metric["pods"]["metric"]["name"]] = f"{self._share(average)}m"
        return document

    def _usage(self, pod: _Pod) -> dict[str, str | None]:
        usage: dict[str, str | None] = {}
        for metric in self.metrics:
            if metric["type"] == "Resource" and metric["resource"]["name"] not in usage:
                name, target = metric["resource"]["name"], metric["resource"]["target"]
                average = (
                    parse_milli(target["averageValue"])
                    if "averageValue" in target
                    else (parse_milli(pod.requests.get(name, "100m")) * target["averageUtilization"] // 100)
                )
                missing = self.rng.random() < max(self.trouble, 0.01)
                usage[name] = None if missing else f"{self._share(average)}m"
        return usage

    def _share(self, target_milli: int) -> int:
        """Return one pod's value for a target: its share of the load, with noise."""
        alive = max(sum(pod.gone_at is None and not pod.failed for pod in self.pods), 1)
        return max(int(target_milli * self.load / alive * self.rng.uniform(1 - self.noise, 1 + self.noise)), 0)

    def _external(self) -> dict[str, list[str]]:
        values: dict[str, list[str]] = {}
        for metric in self.metrics:
            if metric["type"] != "External" or self.rng.random() < self.trouble / 5:
                continue
            target = metric["external"]["target"]
            alive = max(self.wanted, 1)
            scale = self.load if "averageValue" in target else self.load / alive
            total = int(parse_milli(target.get("averageValue") or target["value"]) * scale)
            values[metric["external"]["metric"]["name"]] = self._split(total)
        return values

    def _split(self, total_milli: int) -> list[str]:
        rng = self.rng
        if rng.random() < self.trouble / 20:
            return rng.choice([["-5"], ["5", "-7"], ["9000000000000000", "9000000000000000"], ["4e12"], []])
        if rng.random() < 0.05:
            part = rng.randint(0, max(total_milli, 0))
            return [f"{part}m", f"{total_milli - part}m"]
        return [f"{total_milli}m"]

    def _silent(self, t: float) -> list[str]:
        """Return the sources that do not answer now; each stays silent for a while."""
        for metric in self.metrics:
            source = metric.get("external") or metric.get("pods")
            name = source["metric"]["name"] if source else metric["resource"]["name"]
            if self.rng.random() < self.trouble / 5:
                self.silent_until[name] = t + self.rng.choice([1, 60, 400])
        return sorted(name for name, until in self.silent_until.items() if until > t)


def flags_of(hour: Document) -> ControllerConfig:
    """Return an hour's controller flags."""
    known = {entry.name for entry in dataclasses.fields(ControllerConfig)}
    return ControllerConfig(**{key: value for key, value in hour["controller"].items() if key in known})
