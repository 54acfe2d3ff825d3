"""Short ways to write plants and loads in tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from celery_workers.backoff import Backoff
from harness.autoscaling import HpaSpec, ScaledObject, hpa_from_scaled_object
from harness.simulation import Fixed, Load, Plant, Publisher, Queue, Scaler, Service, Task, Trace, WorkerClass, simulate

LIMIT_SECONDS = 10_000.0


def task(seconds: float | Service = 1.0, **changes: Any) -> Task:
    service = seconds if not isinstance(seconds, int | float) else Fixed(float(seconds))
    return Task(**{"name": "t", "queue": "q", "service": service, **changes})


def load(due: Sequence[float], *tasks: Task, kinds: Sequence[int] | None = None) -> Load:
    chosen = np.zeros(len(due), np.int32) if kinds is None else np.asarray(kinds, np.int32)
    return Load(tasks=tasks or (task(),), due_seconds=np.asarray(due, np.float64), task=chosen)


def publisher(**changes: Any) -> Publisher:
    """A publisher that is in nobody's way."""
    settings = {
        "deadline_seconds": 1e6,
        "attempts_per_second": 1e9,
        "hold_seconds": 0.5,
        "backoff": Backoff(),
    }
    return Publisher(**{**settings, **changes})


def worker_class(**changes: Any) -> WorkerClass:
    settings = {
        "name": "w",
        "deployment": "w",
        "pool": "gevent",
        "slots": 1,
        "queues": ("q",),
        "replicas": 1,
    }
    return WorkerClass(**{**settings, **changes})


def plant(
    *classes: WorkerClass, queues: Sequence[Queue] = (Queue(name="q"),), offers: Publisher | None = None, **others: Any
) -> Plant:
    return Plant(classes=classes or (worker_class(),), queues=tuple(queues), publisher=offers or publisher(), **others)


def run(what: Plant, offered: Load, *, seed: int = 1, compiled: bool = False, **options: Any) -> Trace:
    settings = {"limit_seconds": LIMIT_SECONDS, **options}
    return simulate(what, offered, rng=np.random.default_rng(seed), compiled=compiled, **settings)


def keda_scaler(
    *, queue: str = "q", depth: int = 10, minimum: int = 1, maximum: int = 5, behavior: Mapping[str, Any] | None = None
) -> Scaler:
    manifest: dict[str, Any] = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "w"},
        "spec": {
            "scaleTargetRef": {"name": "w"},
            "minReplicaCount": minimum,
            "maxReplicaCount": maximum,
            "pollingInterval": 15,
            "triggers": [
                {
                    "type": "rabbitmq",
                    "metadata": {"protocol": "http", "mode": "QueueLength", "value": str(depth), "queueName": queue},
                }
            ],
        },
    }
    if behavior is not None:
        manifest["spec"]["advanced"] = {"horizontalPodAutoscalerConfig": {"behavior": behavior}}
    return Scaler(
        hpa=HpaSpec.from_manifest(hpa_from_scaled_object(manifest)), keda=ScaledObject.from_manifest(manifest)
    )


def hpa_scaler(*metrics: Mapping[str, Any], minimum: int = 1, maximum: int = 5, behavior: Any = None) -> Scaler:
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "w"},
        "minReplicas": minimum,
        "maxReplicas": maximum,
        "metrics": list(metrics),
    }
    if behavior is not None:
        spec["behavior"] = behavior
    manifest = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "w"},
        "spec": spec,
    }
    return Scaler(hpa=HpaSpec.from_manifest(manifest))
