"""What the API server's documents say, as every runtime says it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from harness.autoscaling import ControllerConfig
from harness.autoscaling.duration import duration_seconds
from harness.autoscaling.quantity import parse_milli
from harness.chart import manifests as look
from harness.runtime.base import CUT_OFF_SECONDS, CpuWindow, PodState, RuntimeEvent, ScaleEvent, ScaleState

Document = Mapping[str, Any]


def pod_state(pod: Document, usage: Document | None, *, deployment: str) -> PodState:
    """Return a pod's state; `usage` is its item of metrics.k8s.io, if there is one."""
    status = look.mapping(pod, "status")
    ready_at = _ready_at(status)
    containers = look.items(usage, "containers") if usage else []
    return PodState(
        name=look.name_of(pod),
        deployment=deployment,
        phase=phase(pod),
        ready=ready_at is not None,
        started_at=_seconds(status.get("startTime"))
        or _seconds(look.text(pod, "metadata", "creationTimestamp"))
        or 0.0,
        ready_at=ready_at,
        cpu=_cpu(usage, containers) if usage and containers else None,
        memory_bytes=int(sum(look.quantity(one["usage"]["memory"]) or 0 for one in containers)) if containers else None,
        restarts=sum(int(one.get("restartCount", 0)) for one in look.items(status, "containerStatuses")),
    )


def _cpu(usage: Document, containers: Iterable[Document]) -> CpuWindow:
    cores = sum(parse_milli(one["usage"]["cpu"]) for one in containers) / 1000
    ended_at = _seconds(look.text(usage, "timestamp")) or 0.0
    return CpuWindow(ended_at - duration_seconds(look.text(usage, "window")), ended_at, cores)


def phase(pod: Document) -> str:
    """Return Pending, Running, Terminating or Failed; a pod that is told to stop is Terminating whatever it does."""
    if look.get(pod, "metadata", "deletionTimestamp"):
        return "Terminating"
    found = look.get(pod, "status", "phase")
    return str(found) if found in ("Pending", "Running", "Failed") else "Pending"


def scale_state(deployment: Document, hpa: Document | None) -> ScaleState:
    """Return a Deployment's replica counts; without an autoscaler there is no minimum and maximum."""
    status = look.mapping(deployment, "status")
    return ScaleState(
        deployment=look.name_of(deployment),
        desired=int(look.get(deployment, "spec", "replicas", default=1)),
        running=int(status.get("replicas", 0)),
        ready=int(status.get("readyReplicas", 0)),
        minimum=None if hpa is None else int(look.get(hpa, "spec", "minReplicas", default=1)),
        maximum=None if hpa is None else int(look.get(hpa, "spec", "maxReplicas")),
    )


def scale_events(
    before: Mapping[str, ScaleState], after: Iterable[ScaleState], *, at: float, reasons: Mapping[str, str]
) -> list[ScaleEvent]:
    """Return what changed between two looks; `reasons` holds the autoscaler's own words by Deployment."""
    return [
        ScaleEvent(at, one.deployment, earlier.desired, one.desired, reasons.get(one.deployment, ""))
        for one in after
        if (earlier := before.get(one.deployment)) is not None and earlier.desired != one.desired
    ]


def pod_events(before: Mapping[str, PodState], after: Mapping[str, PodState], *, at: float) -> list[RuntimeEvent]:
    """Return what became of pods between two looks, in the words of the local runtime."""
    events = [RuntimeEvent(at, "created", name) for name in after if name not in before]
    for name, pod in after.items():
        earlier = before.get(name)
        if pod.ready and (earlier is None or not earlier.ready):
            events.append(RuntimeEvent(at, "ready", name))
        if earlier is not None and earlier.ready and not pod.ready:
            events.append(RuntimeEvent(at, "unready", name))
        if earlier is not None and pod.restarts > earlier.restarts:
            events.append(RuntimeEvent(at, "restarted", name, f"restart {pod.restarts}"))
        if earlier is not None and pod.phase == "Terminating" != earlier.phase:
            events.append(RuntimeEvent(at, "stopping", name))
    return events + [RuntimeEvent(at, "gone", name) for name in before if name not in after]


def reason_of(hpa: Document) -> str:
    """Return why an autoscaler wants what it wants: its metrics against their targets, and what limits it.

    Empty before its first decision.
    """
    wanted = look.get(hpa, "status", "desiredReplicas")
    if wanted is None:
        return ""
    targets = {_metric_name(one): one for one in look.items(hpa, "spec", "metrics")}
    parts = [
        f"{name} {_shown(one)}/{_shown(targets[name], 'target')}"
        for one in look.items(hpa, "status", "currentMetrics")
        if (name := _metric_name(one)) in targets
    ]
    limited = next(
        (
            one
            for one in look.items(hpa, "status", "conditions")
            if one.get("type") == "ScalingLimited" and one.get("status") == "True"
        ),
        None,
    )
    return f"{', '.join(parts)} -> {wanted}" + (f", {limited['message']}" if limited else "")


def first_sync_at(hpas: Iterable[Document]) -> float | None:
    """Return when all autoscalers have decided for the first time, None where there are none.

    The controller takes a new one up a period after it was made, and again a period after each decision. Its period is
    taken to be the usual one; the fraction of the second in which an autoscaler was made is not told.
    """
    made = (_seconds(look.text(one, "metadata", "creationTimestamp")) for one in hpas)
    latest = max((at for at in made if at is not None), default=None)
    return None if latest is None else latest + ControllerConfig().sync_seconds + CUT_OFF_SECONDS


def _metric_name(metric: Document) -> str:
    if metric.get("type") == "Resource":
        return look.text(metric, "resource", "name")
    return look.text(metric, "external", "metric", "name") if metric.get("type") == "External" else ""


def _shown(metric: Document, side: str = "current") -> str:
    value = look.mapping(metric, str(metric.get("type", "")).lower(), side)
    if "averageUtilization" in value:
        return f"{value['averageUtilization']} %"
    amount = look.quantity(value.get("averageValue") or value.get("value"))
    return "?" if amount is None else f"{float(amount):,.1f}".removesuffix(".0")


def _ready_at(status: Document) -> float | None:
    for condition in look.items(status, "conditions"):
        if condition.get("type") == "Ready" and condition.get("status") == "True":
            return _seconds(condition.get("lastTransitionTime"))
    return None


def _seconds(stamp: str | None) -> float | None:
    return datetime.fromisoformat(stamp).timestamp() if stamp else None
