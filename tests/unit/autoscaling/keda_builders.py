"""Short ways to write ScaledObjects and queues in tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.autoscaling import ScaledObject, TriggerMetric, trigger_metrics


@dataclass(frozen=True)
class Queue:
    ready: int = 0
    unacked: int = 0
    publish_rate: float = 0.0
    deliver_rate: float = 0.0


def rabbitmq(metric_type: str | None = None, **metadata: str) -> dict[str, Any]:
    defaults = {"protocol": "http", "mode": "QueueLength", "value": "200", "queueName": "io"}
    merged = {key: value for key, value in {**defaults, **metadata}.items() if value}
    trigger: dict[str, Any] = {"type": "rabbitmq", "metadata": merged}
    if metric_type:
        trigger["metricType"] = metric_type
    return trigger


def resource_trigger(kind: str = "cpu", value: str = "50", metric_type: str | None = "Utilization") -> dict[str, Any]:
    trigger: dict[str, Any] = {"type": kind, "metadata": {"value": value}}
    if metric_type:
        trigger["metricType"] = metric_type
    return trigger


def cron(
    start: str = "0 8 * * *", end: str = "0 18 * * *", timezone: str = "UTC", replicas: str = "5"
) -> dict[str, Any]:
    metadata = {"start": start, "end": end, "timezone": timezone, "desiredReplicas": replicas}
    return {"type": "cron", "metadata": metadata}


def manifest(*triggers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    annotations = spec.pop("annotations", None)
    metadata: dict[str, Any] = {"name": "celery-io-worker"}
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata,
        "spec": {"scaleTargetRef": {"name": "celery-io-worker"}, "triggers": list(triggers) or [rabbitmq()], **spec},
    }


def scaled(*triggers: dict[str, Any], **spec: Any) -> ScaledObject:
    return ScaledObject.from_manifest(manifest(*triggers, **spec))


def trigger(**metadata: str) -> TriggerMetric:
    return trigger_metrics(manifest(rabbitmq(**metadata)))[0]
