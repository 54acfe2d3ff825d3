"""Plants and loads for tests of the coarse model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from celery_workers.backoff import Backoff
from harness.autoscaling import HpaSpec, ScaledObject, hpa_from_scaled_object
from harness.simulation.model import Fixed, Load, Plant, Publisher, Queue, Scaler, Task, WorkerClass

PUBLISHER = Publisher(deadline_seconds=300.0, attempts_per_second=1e6, hold_seconds=0.5, backoff=Backoff())
BEHAVIOR = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "policies": [
            {"type": "Pods", "value": 3, "periodSeconds": 60},
            {"type": "Percent", "value": 100, "periodSeconds": 120},
        ],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": 60,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
    },
}


def plant(*classes: WorkerClass, queues: Sequence[Queue] = (), publisher: Publisher = PUBLISHER) -> Plant:
    """Return a plant; queues that are not given have no limit."""
    given = {queue.name: queue for queue in queues}
    names = [name for worker in classes for name in worker.queues]
    return Plant(
        classes=classes,
        queues=tuple(given.get(name, Queue(name=name)) for name in names),
        publisher=publisher,
    )


def worker(name: str = "io", **changes: Any) -> WorkerClass:
    """Return a class of one queue of its own name."""
    given: dict[str, Any] = {"pool": "gevent", "slots": 200, "queues": (name,), "replicas": 1, **changes}
    return WorkerClass(name=name, deployment=f"celery-{name}", **given)


def scaler(
    name: str = "io", *, low: int = 1, high: int = 5, depth: int | None = 200, latency: int | None = None, cpu: int = 0
) -> Scaler:
    """Return a ScaledObject and its HPA on what a queue shows."""
    rabbitmq = {"queueName": name, "protocol": "http", "host": "http://broker"}
    triggers: list[dict[str, Any]] = []
    if cpu:
        triggers.append({"type": "cpu", "metricType": "Utilization", "metadata": {"value": str(cpu)}})
    for mode, value in (("QueueLength", depth), ("ExpectedQueueConsumptionTime", latency)):
        if value is not None:
            triggers.append({"type": "rabbitmq", "metadata": {**rabbitmq, "mode": mode, "value": str(value)}})
    manifest = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": f"celery-{name}"},
        "spec": {
            "scaleTargetRef": {"name": f"celery-{name}"},
            "minReplicaCount": low,
            "maxReplicaCount": high,
            "pollingInterval": 15,
            "triggers": triggers,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": BEHAVIOR}},
        },
    }
    hpa = HpaSpec.from_manifest(hpa_from_scaled_object(manifest))
    return Scaler(hpa=hpa, keda=ScaledObject.from_manifest(manifest))


def load(*parts: tuple[Task, Sequence[float]]) -> Load:
    """Return a load of tasks and when each of them is due."""
    due = [(second, number) for number, (_, seconds) in enumerate(parts) for second in seconds]
    due.sort()
    return Load(
        tasks=tuple(task for task, _ in parts),
        due_seconds=np.array([second for second, _ in due]),
        task=np.array([number for _, number in due], np.int32),
    )


def task(name: str = "mail", *, queue: str = "io", seconds: float = 2.0, **changes: Any) -> Task:
    """Return a task that takes always as long."""
    return Task(name=name, queue=queue, service=Fixed(seconds), **changes)
