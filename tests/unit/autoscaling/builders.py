"""Short ways to write autoscalers, pods and runs in tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.autoscaling import ControllerConfig, Decision, HpaSpec, Observation, PodSample, State, decide

SYNC_SECONDS = 15.0


def external(name: str = "q", *, average: str | None = None, value: str | None = None) -> dict[str, Any]:
    target = {"type": "AverageValue", "averageValue": average} if average else {"type": "Value", "value": value}
    return {"type": "External", "external": {"metric": {"name": name}, "target": target}}


def resource(name: str = "cpu", *, percent: int | None = None, average: str | None = None) -> dict[str, Any]:
    target: dict[str, Any] = {"type": "Utilization", "averageUtilization": percent}
    if average:
        target = {"type": "AverageValue", "averageValue": average}
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def pods_metric(name: str = "jobs", *, average: str) -> dict[str, Any]:
    target = {"type": "AverageValue", "averageValue": average}
    return {"type": "Pods", "pods": {"metric": {"name": name}, "target": target}}


def manifest(
    *metrics: Mapping[str, Any],
    minimum: int | None = 1,
    maximum: int = 100,
    behavior: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "target"},
        "maxReplicas": maximum,
        "metrics": list(metrics) or [external(average="200")],
    }
    if minimum is not None:
        spec["minReplicas"] = minimum
    if behavior is not None:
        spec["behavior"] = behavior
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "hpa"},
        "spec": spec,
    }


def hpa(*metrics: Mapping[str, Any], controller: ControllerConfig | None = None, **options: Any) -> HpaSpec:
    return HpaSpec.from_manifest(manifest(*metrics, **options), controller=controller)


def rules(*policies: tuple[str, int, int], window: int | None = None, select: str | None = None) -> dict[str, Any]:
    """Rules of one direction from (type, value, periodSeconds) triples."""
    entry: dict[str, Any] = {}
    if policies:
        entry["policies"] = [{"type": t, "value": v, "periodSeconds": p} for t, v, p in policies]
    if window is not None:
        entry["stabilizationWindowSeconds"] = window
    if select is not None:
        entry["selectPolicy"] = select
    return entry


def pod(name: str, cpu: int | None = None, *, request: int = 1000, now: float = 1000.0, **options: Any) -> PodSample:
    """A pod that has run for long: `cpu` used and `request` asked for, in thousandths of a core."""
    settled: dict[str, Any] = {
        "start_time_seconds": now - 900.0,
        "last_transition_seconds": now - 880.0,
        "metric_timestamp_seconds": now - 5.0,
        "metric_window_seconds": 15.0,
        "requests_milli": {"cpu": request},
        "usage_milli": {} if cpu is None else {"cpu": cpu},
    }
    return PodSample(name=name, **{**settled, **options})


def once(
    spec: HpaSpec,
    *,
    replicas: int,
    pods: Sequence[PodSample] = (),
    values: Mapping[str, Sequence[int]] | None = None,
    status: int | None = None,
    unavailable: Sequence[str] = (),
    now: float = 1000.0,
) -> Decision:
    """Decide the first sync of an autoscaler."""
    observation = Observation(
        spec_replicas=replicas,
        status_replicas=replicas if status is None else status,
        pods=tuple(pods),
        external_milli={name: tuple(numbers) for name, numbers in (values or {}).items()},
        unavailable=frozenset(unavailable),
    )
    return decide(spec, State(), observation, now_seconds=now)[0]


def queue_run(
    spec: HpaSpec, load: Callable[[float], int] | int, *, syncs: int, replicas: int = 1, start: float = 0.0
) -> list[Decision]:
    """Run syncs every 15 s against external metric "q" (`load`: messages, or messages at a time); the scale obeys."""
    state, decisions = State(), []
    for index in range(syncs):
        now = start + index * SYNC_SECONDS
        messages = load if isinstance(load, int) else load(now)
        observation = Observation(
            spec_replicas=replicas, status_replicas=replicas, external_milli={"q": (messages * 1000,)}
        )
        decision, state = decide(spec, state, observation, now_seconds=now)
        decisions.append(decision)
        replicas = decision.desired
    return decisions


def changes(decisions: Sequence[Decision]) -> list[tuple[float, int]]:
    """Return (seconds, replicas) of every sync that changed something."""
    return [(index * SYNC_SECONDS, decision.desired) for index, decision in enumerate(decisions) if decision.changed]
