"""The tasks that a fault brings itself: poison, and the bulk whose publisher is killed. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from harness.chaos.schedule import Injection
from harness.spike.arrivals import Arrival, class_of, queue_of

BULK_TASKS = 300
BULK_TASK = "save_question_index"  # short, and a row
POISON = {"child": "run_summary_metrics_task", "worker": "async_php_evaluate"}
"""What is killed by a poisonous task, and the task it looks like: one of a prefork class, one of another."""


def arrivals(injections: Sequence[Injection], topology: Mapping[str, Any], *, run_id: str) -> list[Arrival]:
    """Return the tasks the schedule's faults publish; due when their fault begins."""
    found = []
    for injection in injections:
        if injection.phase == "poison":
            found += [_arrival(injection, topology, task, f"poison-{what}-{run_id}") for what, task in POISON.items()]
        if injection.phase == "kill-publisher":
            found += [
                _arrival(injection, topology, BULK_TASK, str(uuid.uuid5(uuid.NAMESPACE_OID, f"{run_id}/bulk/{number}")))
                for number in range(BULK_TASKS)
            ]
    return found


def _arrival(injection: Injection, topology: Mapping[str, Any], task: str, task_id: str) -> Arrival:
    queue = queue_of(task, topology)
    return Arrival(
        id=task_id,
        due_seconds=injection.start_seconds,
        task=task,
        phase=injection.phase,
        kwargs={},
        queue=queue,
        worker_class=class_of(queue, topology),
        service_seconds=1.0,
        cpu_seconds=0.0,
    )
