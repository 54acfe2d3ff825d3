"""What the random hours met: each feature of the controller with the decisions and hours in which it counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.autoscaling import ControllerConfig, Decision, parse_milli
from tests.conformance.hours import Document, flags_of

LATE_SECONDS = 30.0
OVERFLOWING_MILLI = 10**15
DEFAULTS = ControllerConfig()


@dataclass
class Coverage:
    """Decisions and hours by feature, in a fixed order."""

    decisions: Counter[str] = field(default_factory=Counter)
    hours: Counter[str] = field(default_factory=Counter)

    def add(self, other: Coverage) -> None:
        """Add what other hours met."""
        self.decisions.update(other.decisions)
        self.hours.update(other.hours)

    def rows(self) -> list[tuple[str, int, int]]:
        """Return (feature, hours, decisions) of every feature, met or not."""
        return [(name, self.hours[name], self.decisions[name]) for name in names()]

    def missing(self) -> list[str]:
        """Return the features that no decision met."""
        return [name for name in names() if not self.decisions[name]]


@dataclass(frozen=True)
class Sync:
    """One sync of an hour: what was seen and what the core decided."""

    hour: Document
    seen: Document
    decision: Decision
    late: bool

    def any_pod(self, test: Callable[[Document], bool]) -> bool:
        """Tell whether one of the pods passes."""
        return any(test(pod) for pod in self.seen.get("pods", ()))

    def any_values(self, test: Callable[[Sequence[int]], bool]) -> bool:
        """Tell whether the values of one of the external metrics pass, in thousandths."""
        return any(test([parse_milli(value) for value in values]) for values in self.seen["external"].values())

    @property
    def broken(self) -> int:
        """How many metrics could not be used."""
        return sum(proposal.replicas is None for proposal in self.decision.proposals)


def of_hour(hour: Document, decisions: Sequence[Decision]) -> Coverage:
    """Return what one hour met."""
    met = Coverage()
    given = [name for name, test in SPEC.items() if test(hour)]
    met.decisions.update({name: len(decisions) for name in given})
    for sync in _syncs(hour, decisions):
        met.decisions.update(name for name, test in SYNC.items() if test(sync))
    met.hours.update(set(met.decisions))
    return met


def names() -> list[str]:
    """Return every feature's name."""
    return [*SPEC, *SYNC]


def _syncs(hour: Document, decisions: Sequence[Decision]) -> list[Sync]:
    period, last, found = hour["controller"]["sync_seconds"], 0.0, []
    for seen, decision in zip(hour["observations"], decisions, strict=True):
        found.append(Sync(hour, seen, decision, late=seen["t"] - last > period + 1e-6))
        last = seen["t"]
    return found


def _metric(kind: str, target: str, name: str = "") -> Callable[[Document], bool]:
    def test(hour: Document) -> bool:
        sources = [(one["type"], one[one["type"].lower()]) for one in hour["hpa"]["spec"]["metrics"]]
        return any(
            k == kind and source["target"]["type"] == target and source.get("name", "") == name for k, source in sources
        )

    return test


def _directions(hour: Document) -> Mapping[str, Any]:
    return hour["hpa"]["spec"].get("behavior") or {}


def _rules(direction: str, test: Callable[[Mapping[str, Any]], bool]) -> Callable[[Document], bool]:
    return lambda hour: direction in _directions(hour) and test(_directions(hour)[direction])


def _policy(direction: str, kind: str) -> Callable[[Document], bool]:
    return _rules(direction, lambda rules: any(policy["type"] == kind for policy in rules.get("policies", ())))


def _select(direction: str, select: str) -> Callable[[Document], bool]:
    return _rules(direction, lambda rules: rules.get("selectPolicy", "Max") == select)


def _flag(name: str) -> Callable[[Document], bool]:
    return lambda hour: getattr(flags_of(hour), name) != getattr(DEFAULTS, name)


def _limited(*beginnings: str) -> Callable[[Sync], bool]:
    return lambda sync: sync.decision.limited_by.startswith(beginnings)


def _pod(test: Callable[[Document], bool]) -> Callable[[Sync], bool]:
    return lambda sync: sync.any_pod(test)


def _starting(sync: Sync) -> bool:
    since = sync.seen["t"] - sync.hour["controller"]["cpu_initialization_seconds"]
    return sync.any_pod(lambda pod: pod["phase"] == "Running" and pod["startTime"] > since)


def _late_sample(sync: Sync) -> bool:
    edge = sync.seen["t"] - LATE_SECONDS
    return sync.any_pod(lambda pod: pod["timestamp"] is not None and pod["timestamp"] <= edge)


def _sampled_before_ready(pod: Document) -> bool:
    changed, end = pod.get("lastTransition"), pod["timestamp"]
    return bool(pod.get("ready")) and None not in (changed, end) and end < changed + pod["window"]


SPEC: Mapping[str, Callable[[Document], bool]] = {
    "CPU utilization": _metric("Resource", "Utilization", "cpu"),
    "CPU average value": _metric("Resource", "AverageValue", "cpu"),
    "memory utilization": _metric("Resource", "Utilization", "memory"),
    "memory average value": _metric("Resource", "AverageValue", "memory"),
    "Pods metric": _metric("Pods", "AverageValue"),
    "External AverageValue": _metric("External", "AverageValue"),
    "External Value": _metric("External", "Value"),
    "several metrics": lambda hour: len(hour["hpa"]["spec"]["metrics"]) > 1,
    "minReplicas 0": lambda hour: hour["hpa"]["spec"]["minReplicas"] == 0,
    "no behavior": lambda hour: "behavior" not in hour["hpa"]["spec"],
    "behavior of one direction": lambda hour: len(_directions(hour)) == 1,
    "several policies": lambda hour: any(len(rules.get("policies", ())) > 1 for rules in _directions(hour).values()),
    **{
        f"{kind} policy {way}": _policy(direction, kind)
        for way, direction in (("up", "scaleUp"), ("down", "scaleDown"))
        for kind in ("Pods", "Percent")
    },
    **{
        f"selectPolicy {select} {way}": _select(direction, select)
        for way, direction in (("up", "scaleUp"), ("down", "scaleDown"))
        for select in ("Max", "Min", "Disabled")
    },
    "stabilization window up": _rules("scaleUp", lambda rules: bool(rules.get("stabilizationWindowSeconds"))),
    "stabilization window down": _rules("scaleDown", lambda rules: bool(rules.get("stabilizationWindowSeconds"))),
    "tolerance of a direction": lambda hour: any("tolerance" in rules for rules in _directions(hour).values()),
    "another sync period": _flag("sync_seconds"),
    "another tolerance": _flag("tolerance"),
    "another downscale stabilization": _flag("downscale_stabilization_seconds"),
    "another CPU initialization period": _flag("cpu_initialization_seconds"),
    "another initial readiness delay": _flag("initial_readiness_delay_seconds"),
}

SYNC: Mapping[str, Callable[[Sync], bool]] = {
    "sync late": lambda sync: sync.late,
    "replicas above maxReplicas": lambda sync: sync.decision.note.startswith("above maxReplicas"),
    "replicas below minReplicas": lambda sync: sync.decision.note.startswith("below minReplicas"),
    "zero replicas, minReplicas above 0": lambda sync: sync.decision.note.startswith("scaled to zero by hand"),
    "status behind spec": lambda sync: sync.seen["replicas"]["status"] != sync.seen["replicas"]["spec"],
    "pod pending": _pod(lambda pod: pod["phase"] == "Pending"),
    "pod starting": _starting,
    "pod not ready": _pod(lambda pod: pod["phase"] == "Running" and pod.get("ready") is False),
    "pod without a Ready condition": _pod(lambda pod: pod.get("ready") is None),
    "pod failed": _pod(lambda pod: pod["phase"] == "Failed"),
    "pod succeeded or unknown": _pod(lambda pod: pod["phase"] in ("Succeeded", "Unknown")),
    "pod being deleted": _pod(lambda pod: pod.get("deleting", False)),
    "pod without requests": _pod(lambda pod: not pod["requests"]),
    "sample missing": _pod(lambda pod: None in pod["usage"].values()),
    "sample late": _late_sample,
    "sample from before the pod was ready": _pod(_sampled_before_ready),
    "sample without a time": _pod(lambda pod: pod["timestamp"] is None),
    "source silent": lambda sync: bool(sync.seen.get("unavailable")),
    "external metric without a value": lambda sync: any(
        not sync.seen["external"].get(one["external"]["metric"]["name"])
        for one in sync.hour["hpa"]["spec"]["metrics"]
        if one["type"] == "External"
    ),
    "external metric of several values": lambda sync: sync.any_values(lambda milli: len(milli) > 1),
    "external value negative or overflowing": lambda sync: sync.any_values(
        lambda milli: any(one < 0 or one >= OVERFLOWING_MILLI for one in milli)
    ),
    "one metric of several unusable": lambda sync: 0 < sync.broken < len(sync.decision.proposals),
    "every metric unusable": lambda sync: bool(sync.broken) and sync.broken == len(sync.decision.proposals),
    "not down while a metric is unusable": lambda sync: sync.decision.note.startswith("not scaling down while"),
    "replicas raised": lambda sync: sync.decision.desired > sync.decision.current,
    "replicas lowered": lambda sync: sync.decision.desired < sync.decision.current,
    "lowered to zero": lambda sync: sync.decision.desired == 0 < sync.decision.current,
    "raised from zero": lambda sync: sync.decision.current == 0 < sync.decision.desired,
    "metrics ask for what is there": lambda sync: sync.decision.wanted == sync.decision.current,
    "held by a policy up": _limited("+"),
    "held by a policy down": _limited("-"),
    "held by stabilization up": lambda sync: " was enough in the last" in sync.decision.limited_by,
    "held by stabilization down": lambda sync: " was wanted in the last" in sync.decision.limited_by,
    "held by Disabled up": _limited("scaling up is disabled"),
    "held by Disabled down": _limited("scaling down is disabled"),
    "held by maxReplicas": _limited("maxReplicas"),
    "held by minReplicas": _limited("minReplicas"),
    "held by the growth of one sync": _limited("one sync may reach"),
}
