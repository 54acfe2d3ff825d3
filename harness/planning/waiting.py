"""How long tasks wait for others, where a scenario says so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from examx.catalogue import TASKS
from harness.spike.scenario import Scenario


def waits(scenario: Scenario) -> dict[str, float]:
    """Return in seconds how long the service behind each of the reference application's tasks lets it wait.

    A task that a scenario gives less time than that, or whose service answers at chance times, is left out, and so are
    other applications' tasks: of these only all that a run takes is known.
    """
    latencies = {name: latency for name, profile in scenario.services.items() if (latency := _latency(profile))}
    behind = {task.task: TASKS[task.task].service for task in scenario.tasks if task.task in TASKS}
    return {
        task.task: latencies[behind[task.task]]
        for task in scenario.tasks
        if behind.get(task.task) in latencies and latencies[behind[task.task]] <= task.service_seconds
    }


def _latency(profile: Any) -> float | None:
    if not isinstance(profile, Mapping) or profile.get("latency_sigma"):
        return None
    latency = profile.get("latency_seconds")
    return float(latency) if latency else None
