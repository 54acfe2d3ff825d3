"""From the arrays to what came of it all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.simulation.kernel.state import GONE, Flow
from harness.simulation.model import OPEN, Plant, Step, Trace


def trace(plant: Plant, flow: Flow, steps: Sequence[Step], *, end_seconds: float) -> Trace:
    """Return the trace of a run that ended at `end_seconds`."""
    run, tasks = flow.run[0], flow.tasks
    rows, refused = int(run["samples"]), int(run["refused"])
    classes = flow.class_samples[:rows]

    def of_queues(name: str) -> dict[str, Any]:
        return {queue.name: flow.queue_samples[name][:rows, q].copy() for q, queue in enumerate(plant.queues)}

    def of_classes(name: str, key: Callable[[Any], str]) -> dict[str, Any]:
        return {key(each): classes[name][:, c].copy() for c, each in enumerate(plant.classes)}

    return Trace(
        first_attempt=tasks["first_attempt"].copy(),
        accepted=tasks["accepted"].copy(),
        started=tasks["started"].copy(),
        done=tasks["done"].copy(),
        state=tasks["state"].astype(np.int8),
        refusals=tasks["refusals"].astype(np.int32),
        refused_at=flow.refusals["at"][:refused].copy(),
        refused_task=flow.refusals["task"][:refused].copy(),
        attempts=int(run["attempts"]),
        refused_stored=int(run["stored"]),
        repeated=int(run["repeated"]),
        seconds=np.arange(rows, dtype=np.float64),
        ready=of_queues("ready"),
        unacked=of_queues("unacked"),
        desired=of_classes("desired", _deployment),
        running=of_classes("running", _deployment),
        pods_ready=of_classes("ready", _deployment),
        cpu_cores=of_classes("cpu", _name),
        memory_bytes=of_classes("memory", _name),
        host_cores=flow.host_samples[:rows].copy(),
        busy_slots=of_classes("busy", _name),
        replica_seconds=_replica_seconds(plant, flow, end_seconds),
        steps=tuple(steps),
        end_seconds=end_seconds,
        limit_reached=bool(np.any(tasks["state"] == OPEN)),
    )


def _name(worker_class: Any) -> str:
    return str(worker_class.name)


def _deployment(worker_class: Any) -> str:
    return str(worker_class.deployment)


def _replica_seconds(plant: Plant, flow: Flow, end: float) -> dict[str, float]:
    seconds = {each.name: float(flow.classes[c]["pod_seconds"]) for c, each in enumerate(plant.classes)}
    alive: NDArray[Any] = flow.pods[flow.pods["phase"] != GONE]
    for pod in alive:
        seconds[plant.classes[pod["worker_class"]].name] += end - max(float(pod["created"]), 0.0)
    return seconds
