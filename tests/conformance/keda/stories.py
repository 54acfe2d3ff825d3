"""Random stories of ScaledObjects, for comparing with KEDA itself. Deterministic by seed.

A story is one JSON document: a ScaledObject, when it is made, and what happens from one polling to the next: what the
broker has, whether it answers, and the replicas that an HPA or a person sets in between.
"""

from __future__ import annotations

import random
from typing import Any

DAY_SECONDS = 86400
DEFAULT_POLLING_SECONDS = 30
QUEUES = ("io", "io-high", "exam.io", "ai:questions", "mixed")
MODES = ("QueueLength", "QueueLength", "MessageRate", "DeliverGetRate", "PublishedToDeliveredRatio",
         "ExpectedQueueConsumptionTime")  # fmt: skip
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe")
REFUSED_SHARE = 0.15
CACHED_SHARE = 0.15

Document = dict[str, Any]


def make_story(seed: int) -> Document:
    """Return one random story."""
    rng = random.Random(seed)
    manifest = _manifest(rng)
    if rng.random() < REFUSED_SHARE:
        _spoil(rng, manifest)
    story = {
        "id": str(seed),
        "scaledObject": manifest,
        "start": rng.randrange(0, 3 * 365 * DAY_SECONDS) + rng.choice([0.0, 0.5]),
        "replicas": rng.choice([0, 0, 1, 2, 5]),
        "steps": _steps(rng, rng.randint(10, 40)),
    }
    apart = random.Random(f"{seed} cached")  # other stories stay what they were without these
    if apart.random() < CACHED_SHARE:
        _cache(apart, story)
    return story


def _manifest(rng: random.Random) -> Document:
    spec: Document = {"scaleTargetRef": {"name": "target"}, "triggers": _triggers(rng)}
    minimum = rng.choice([None, 0, 0, 1, 1, 2, 3])
    if all(one["type"] in ("cpu", "memory") for one in spec["triggers"]):
        minimum = minimum or 1
    optional = {
        "minReplicaCount": minimum,
        "maxReplicaCount": rng.choice([None, 5, 10, 100]),
        "idleReplicaCount": 0 if (minimum or 0) > 0 and rng.random() < 0.4 else None,
        "pollingInterval": rng.choice([None, 1, 5, 10, 30, 60]),
        "cooldownPeriod": rng.choice([None, 0, 5, 30, 60, 300]),
        "initialCooldownPeriod": rng.choice([None, None, 0, 30, 120]),
        "fallback": _fallback(rng, spec["triggers"]),
        "advanced": _advanced(rng),
    }
    spec |= {key: value for key, value in optional.items() if value is not None}
    name = rng.choice(["io", "celery-io-worker", "a" * rng.randint(1, 54)])
    metadata: Document = {"name": name}
    labels = {"app.kubernetes.io/instance": "celery", "team": "exams", "app.kubernetes.io/part-of": "mine"}
    if rng.random() < 0.5:
        metadata["labels"] = dict(rng.sample(sorted(labels.items()), rng.randint(1, 3)))
    annotations = _annotations(rng)
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": spec}


def _annotations(rng: random.Random) -> dict[str, str]:
    given = {
        "autoscaling.keda.sh/paused": (0.04, ["true", "false", "yes"]),
        "autoscaling.keda.sh/paused-scale-in": (0.08, ["true", "false", "1"]),
        "autoscaling.keda.sh/paused-scale-out": (0.08, ["true", "F", ""]),
        "autoscaling.keda.sh/force-activation": (0.05, ["true", "false"]),
        "scaledobject.keda.sh/hpa-excluded-labels": (0.1, ["team", "team,foo", "scaledobject.keda.sh/name"]),
        "example.com/owner": (0.2, ["exams"]),
    }
    return {key: rng.choice(values) for key, (share, values) in given.items() if rng.random() < share}


def _advanced(rng: random.Random) -> Document | None:
    if rng.random() < 0.4:
        return None
    config: Document = {}
    if rng.random() < 0.2:
        config["name"] = "own-name"
    if rng.random() < 0.8:
        policy = {"type": rng.choice(["Pods", "Percent"]), "value": rng.randint(1, 100), "periodSeconds": 60}
        rules = {"stabilizationWindowSeconds": rng.choice([0, 60, 300]), "policies": [policy], "selectPolicy": "Min"}
        config["behavior"] = dict.fromkeys(rng.choice([("scaleUp",), ("scaleDown",), ("scaleUp", "scaleDown")]), rules)
    return {"horizontalPodAutoscalerConfig": config}


def _fallback(rng: random.Random, triggers: list[Document]) -> Document | None:
    if rng.random() < 0.5 or all(one["type"] in ("cpu", "memory") for one in triggers):
        return None
    fallback: Document = {"failureThreshold": rng.choice([0, 1, 2, 3, 8]), "replicas": rng.choice([0, 1, 3, 6, 7])}
    behavior = rng.choice([None, "static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"])
    return fallback | ({"behavior": behavior} if behavior else {})


def _triggers(rng: random.Random) -> list[Document]:
    kinds = ["rabbitmq", "rabbitmq", "rabbitmq", "rabbitmq", "cron", "cpu", "memory"]
    return [_trigger(rng, rng.choice(kinds)) for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 4]))]


def _trigger(rng: random.Random, kind: str) -> Document:
    if kind == "rabbitmq":
        return _rabbitmq(rng)
    if kind == "cron":
        return _cron(rng)
    percent = rng.random() < 0.6
    value = rng.choice(["50", "70", "+80"] if percent else ["100m", "64Mi", "1.5", "1G"])
    return {"type": kind, "metricType": "Utilization" if percent else "AverageValue", "metadata": {"value": value}}


def _rabbitmq(rng: random.Random) -> Document:
    metadata = {"queueName": rng.choice(QUEUES), "host": "http://rabbitmq:15672/"}
    if rng.random() < 0.8:
        metadata["protocol"] = rng.choice(["http", "http", "auto"])
    style = rng.random()
    if style < 0.8:
        metadata |= {
            "mode": rng.choice(MODES),
            "value": rng.choice(["200", "1", "0.5", "20.25", "1e3", "0.0004", "33.3336"]),
        }
    elif style < 0.9:
        metadata["queueLength"] = rng.choice(["7", "50"])
    if rng.random() < 0.4:
        metadata["activationValue"] = rng.choice(["0", "5", "0.5", "100", "-1"])
    if rng.random() < 0.2:
        metadata["excludeUnacknowledged"] = rng.choice(["true", "false", "T", "0"])
    if rng.random() < 0.2:
        operation = rng.choice(["sum", "avg", "max"])
        metadata |= {
            "useRegex": "true",
            "operation": operation,
            "queueName": rng.choice(["^io", "IO", "nothing", ".*"]),
        }
    trigger: Document = {"type": "rabbitmq", "metadata": metadata}
    if rng.random() < 0.4:
        trigger["metricType"] = rng.choice(["AverageValue", "Value"])
    return trigger


def _cron(rng: random.Random) -> Document:
    start, end = (_expression(rng) for _ in range(2))
    replicas = str(rng.choice([1, 2, 5, 12]))
    metadata = {"start": start, "end": end, "timezone": rng.choice(ZONES), "desiredReplicas": replicas}
    return {"type": "cron", "metadata": metadata}


def _expression(rng: random.Random) -> str:
    minute = rng.choice([str(rng.randint(0, 59)), "*/5", "*", "0,30", "10-20", "5/20"])
    hour = rng.choice([str(rng.randint(0, 23)), "*", "8-17", "*/2", "8-17/3"])
    return (
        f"{minute} {hour} {rng.choice(['*', '*', '1', '1-7', '?'])} {rng.choice(['*', '*', '3', 'mar-OCT'])} "
        + rng.choice(["*", "*", "1-5", "MON", "sat,sun", "0"])
    )


def _spoil(rng: random.Random, manifest: Document) -> None:
    """Make one mistake; some are none to KEDA."""
    spec = manifest["spec"]
    metadata = rng.choice(spec["triggers"])["metadata"]
    mistakes = [
        lambda: metadata.pop(rng.choice(sorted(metadata))),
        lambda: metadata.update({rng.choice(sorted(metadata)): rng.choice(["", " ", "many", "-1", "0", "1.5"])}),
        lambda: metadata.update(value=rng.choice(["0", "x", "50%", "1e1"])),
        lambda: metadata.update(mode=rng.choice(["Unknown", "queueLength"])),
        lambda: metadata.update(protocol="stomp"),
        lambda: metadata.update(queueLength="5"),
        lambda: metadata.update(type="Utilization"),
        lambda: spec.update(minReplicaCount=rng.choice([0, 101])),
        lambda: spec.update(idleReplicaCount=rng.choice([0, 1, 5])),
        lambda: spec.update(fallback={"failureThreshold": -1, "replicas": 2}),
        lambda: spec["triggers"].append(dict(rng.choice(spec["triggers"]))),
        lambda: rng.choice(spec["triggers"]).update(metricType=rng.choice(["Value", "Utilization", "AverageValue"])),
        lambda: rng.choice(spec["triggers"]).update(useCachedMetrics=True),
        lambda: [one.update(name="same") for one in spec["triggers"]],
        lambda: manifest["metadata"].update(name="b" * rng.randint(50, 70)),
        lambda: spec.update(triggers=[]),
    ]
    rng.choice(mistakes)()


def _cache(rng: random.Random, story: Document) -> None:
    """Have triggers serve what the last polling found, and the queues be others by the time the HPA asks.

    Not where a queue is missing: after a polling with an error it is chance in KEDA whether what it found is kept.
    """
    for trigger in story["scaledObject"]["spec"]["triggers"]:
        if trigger["type"] == "rabbitmq" and rng.random() < 0.7:
            trigger["useCachedMetrics"] = True
    for step in story["steps"]:
        if set(step.get("queues", ())) == set(QUEUES):
            step["later"] = {name: _queue(rng, 0.5) for name in step["queues"]}


def _steps(rng: random.Random, count: int) -> list[Document]:
    trouble, busy, setting = (rng.choice(shares) for shares in ((0.0, 0.05, 0.3), (0.1, 0.5, 0.9), (0.0, 0.2)))
    steps, down = [], False
    for _ in range(count):
        down = rng.random() < (0.7 if down else trouble)
        step: Document = {"down": down, "readyPods": rng.choice([0, 1, 1, 3])}
        if not down:
            step["queues"] = {name: _queue(rng, busy) for name in QUEUES if rng.random() > trouble / 3}
        if rng.random() < setting:
            step["set"] = rng.choice([0, 0, 1, 2, 4, 9])
        steps.append(step)
    return steps


def _queue(rng: random.Random, busy: float) -> Document:
    if rng.random() > busy:
        return {"ready": 0, "unacked": 0, "publish": 0.0, "deliver": 0.0}
    rates = [rng.choice([0.0, 0.2, 1.0, 3.3333, 1234.5678]) for _ in range(2)]
    return {
        "ready": rng.choice([0, 1, 5, 6, 199, 5200]),
        "unacked": rng.choice([0, 0, 1, 200]),
        "publish": rates[0],
        "deliver": rates[1],
    }
