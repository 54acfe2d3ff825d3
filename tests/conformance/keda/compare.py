"""Compares what KEDA and the harness make of a story."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from harness.autoscaling import parse_milli
from tests.conformance.keda.stories import Document

VERSION_LABEL = "app.kubernetes.io/version"  # stamped into KEDA when it is released


def differences(theirs: Document, ours: Document) -> list[str]:
    """Return in words on what the two do not agree, in the order of a life: refusal, HPA, pollings, metrics."""
    if bool(theirs["refused"]) != bool(ours["refused"]):
        if ".timezone is" in ours["refused"] and _cannot_see(theirs):
            return []  # the harness says at once what KEDA finds out at every polling
        return [f"KEDA {_verdict(theirs)}; the harness {_verdict(ours)}"]
    found = hpa_differences(theirs["hpa"], ours["hpa"])
    for what in ("replicas", "metrics"):
        pairs = zip(theirs[what] or [], ours[what], strict=not theirs["refused"])
        found += [f"{what} after polling {i}: KEDA {a}, the harness {b}" for i, (a, b) in enumerate(pairs) if a != b]
    return found


def hpa_differences(theirs: Mapping[str, Any] | None, ours: Mapping[str, Any] | None) -> list[str]:
    """Return in words on what two autoscalers do not agree; None: there is none."""
    return [
        f"{key}: KEDA {theirs_part}, the harness {our_part}"
        for (key, theirs_part), (_, our_part) in zip(_parts(theirs), _parts(ours), strict=True)
        if theirs_part != our_part
    ]


def met(story: Document, theirs: Document) -> Counter[str]:
    """Return how often a story met each feature: ScaledObjects by what they have, pollings by what came of them."""
    spec, steps = story["scaledObject"]["spec"], story["steps"]
    count: Counter[str] = Counter({"refused" if theirs["refused"] else "accepted": 1})
    if theirs["refused"]:
        return count
    for trigger in spec["triggers"]:
        count[f"trigger {trigger['type']} {trigger['metadata'].get('mode', '')}".strip()] += 1
    count["useCachedMetrics"] += any("useCachedMetrics" in one for one in spec["triggers"])
    optional = ("idleReplicaCount", "fallback", "cooldownPeriod", "initialCooldownPeriod", "pollingInterval")
    count.update(name for name in optional if name in spec)
    count.update(key.rsplit("/", 1)[-1] for key in story["scaledObject"]["metadata"].get("annotations", {}))
    count["pollings"] += len(theirs["replicas"] or ())
    count["broker down"] += sum(step["down"] for step in steps)
    before = [
        story["replicas"],
        *(step.get("set", now) for step, now in zip(steps, theirs["replicas"] or (), strict=False)),
    ]
    for was, now in zip(before, theirs["replicas"] or (), strict=False):
        count["woken"] += was < now
        count["put to sleep"] += was > now
    asked = [value for one in theirs["metrics"] or () for value in one.values()]
    count["metrics asked for"] += len(asked)
    count["metrics refused"] += sum(value is None for value in asked)
    return count


def _cannot_see(theirs: Document) -> bool:
    """Tell whether KEDA got errors of a cron trigger before a fallback stood in: it reads nothing but a clock."""
    return any(value is None for one in theirs["metrics"] for name, value in one.items() if "-cron-" in name)


def _verdict(answer: Document) -> str:
    return f"refuses it ({answer['refused']})" if answer["refused"] else "takes it"


def _parts(hpa: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    """Return what counts of an HPA; the API server's own fields and the owner are left out."""
    metadata, spec = (hpa or {}).get("metadata", {}), (hpa or {}).get("spec", {})
    labels = {key: value for key, value in metadata.get("labels", {}).items() if key != VERSION_LABEL}
    return [
        ("there", hpa is not None),
        ("name", metadata.get("name")),
        ("labels", labels),
        ("annotations", metadata.get("annotations") or {}),
        ("minReplicas", spec.get("minReplicas")),
        ("maxReplicas", spec.get("maxReplicas")),
        ("scaleTargetRef", spec.get("scaleTargetRef")),
        ("metrics", [_in_thousandths(metric) for metric in spec.get("metrics") or ()]),
        ("behavior", spec.get("behavior")),
    ]


def _in_thousandths(metric: Mapping[str, Any]) -> dict[str, Any]:
    """Return a metric with its target's amount as a number: 64Mi and 67108864 are the same to the controller."""
    kind = str(metric["type"]).lower()
    target = {
        key: parse_milli(value) if key in ("value", "averageValue") else value
        for key, value in metric[kind]["target"].items()
    }
    return {**metric, kind: {**metric[kind], "target": target}}
