"""The lines that a render answers: how fast it scales, what a full queue does, who is called. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.checklist.lines import FAIL, NOT_APPLICABLE, Line, Subject, verdict
from harness.spike.facts import CLASS_LABEL

FIXED = "none"
DEVELOPMENT = "dev"
# Alert -> the guide's threshold, in its order.
ALERTS = {
    "QueueNearlyFull": "queue depth above 80 % of its maximum",
    "CpuNearLimit": "worker CPU above 90 % for 2 minutes",
    "FailureRatio": "more than 10 % of tasks fail",
    "ScalingEvents": "more than 5 scaling events an hour",
    "QueueFilling": "queue depth above 50 % of its maximum",
    "MemoryHigh": "worker memory above 85 %",
    "LatencyHigh": "tasks take twice as long as is normal",
}


def scaling(subject: Subject) -> Line:
    """Whether each class that scales says itself how fast, up and down."""
    name, title = "scaling", "Scaling policies"
    behaviors = dict(_behaviors(subject))
    fixed = sorted(one for one, settings in subject.classes.items() if settings["scaler"] in (FIXED, None))
    if not behaviors and subject.environment == DEVELOPMENT:
        return Line(name, title, NOT_APPLICABLE, (f"one fixed number of pods a class: {', '.join(fixed)}",))
    good, evidence = bool(behaviors), []
    for one, behavior in sorted(behaviors.items()):
        missing = [direction for direction in ("scaleUp", "scaleDown") if not behavior.get(direction)]
        good = good and not missing
        if missing:
            evidence.append(f"{one}: {' and '.join(missing)} at Kubernetes' own speed; set workers.{one}.behavior")
        else:
            evidence.append(f"{one}: up {_speed(behavior['scaleUp'])}; down {_speed(behavior['scaleDown'])}")
    if fixed:
        evidence.append(f"{', '.join(fixed)}: a fixed number of pods (scaler none)")
    return Line(name, title, verdict(good), tuple(evidence))


def _behaviors(subject: Subject) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for manifest in subject.manifests:
        one = (manifest["metadata"].get("labels") or {}).get(CLASS_LABEL)
        if one is None:
            continue
        if manifest["kind"] == "HorizontalPodAutoscaler":
            yield one, manifest["spec"].get("behavior") or {}
        elif manifest["kind"] == "ScaledObject":
            advanced = (manifest["spec"].get("advanced") or {}).get("horizontalPodAutoscalerConfig") or {}
            yield one, advanced.get("behavior") or {}


def _speed(direction: Mapping[str, Any]) -> str:
    policies = " or ".join(
        f"{policy['value']}{' %' if policy['type'] == 'Percent' else ' pods'} in {policy['periodSeconds']} s"
        for policy in direction.get("policies", [])
    )
    return f"{policies or 'without a bound'} after {direction.get('stabilizationWindowSeconds', 0)} s"


def overflow(subject: Subject) -> Line:
    """Whether each queue has a limit, says what it does when full, and does not keep a message for ever."""
    good, evidence = True, []
    for queue, settings in sorted(subject.queues.items()):
        length, life = settings["max_length_messages"], settings["message_ttl_seconds"]
        missing = [key for key, value in (("maxLength", length), ("messageTtl", life)) if value is None]
        good = good and not missing
        where = f"workers.{settings['class']}.queues.{queue}"
        if missing:
            evidence.append(f"{queue}: without {' and '.join(missing)}; set {where}")
        else:
            evidence.append(f"{queue}: {length:,} messages, {settings['overflow']}, {life:g} s")
    return Line("overflow", "Queue limits", verdict(good), tuple(evidence))


def alerts(subject: Subject) -> Line:
    """Whether the release's rules have an alert for each of the guide's thresholds."""
    name, title = "alerts", "Alerts"
    rules = [manifest for manifest in subject.manifests if manifest["kind"] == "PrometheusRule"]
    if not rules:
        if not subject.has_own_alerts:
            return Line(name, title, NOT_APPLICABLE, (
                "this chart brings no alerts, and the values make no PrometheusRule of their own "
                "(monitoring.prometheusRule.groups)",
            ))  # fmt: skip
        return Line(name, title, FAIL, (
            "no PrometheusRule: set monitoring.prometheusRule.enabled, or load what `harness rules` writes and say so "
            "with --set monitoring.prometheusRule.enabled=true",
        ))  # fmt: skip
    found = {
        rule["alert"] for one in rules for group in one["spec"]["groups"] for rule in group["rules"] if "alert" in rule
    }
    evidence = [f"{alert}: {what}" for alert, what in ALERTS.items() if alert in found]
    missing = [f"no alert {alert}: {what}" for alert, what in ALERTS.items() if alert not in found]
    return Line(name, title, verdict(not missing), (*evidence, *missing))
