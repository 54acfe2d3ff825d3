"""Planner questions about the production values, from their golden render."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from harness.chart import render, yaml_strict
from harness.chart.values import ROOT
from harness.planning import place
from harness.planning.case import Case
from harness.planning.figures import Figures, assumed
from harness.planning.place import Place
from harness.planning.planner import case_of, of_scenario
from harness.simulation.model import DONE, Load, Plant, Step, Trace
from harness.spike.scenario import load_scenario

CORES = 2


@cache
def manifests(environment: str = "keda") -> list[dict[str, Any]]:
    """The golden render: `keda` is prod with the overlay, `prod` without."""
    path = ROOT / "tests" / "golden" / f"{environment}.yaml"
    return yaml_strict.load_all_text(path.read_text(encoding="utf-8"), path.name)


def topology(environment: str = "keda") -> dict[str, Any]:
    return render.topology(manifests(environment))


def case(
    scenario: str = "email-campaign",
    environment: str = "keda",
    *,
    where: Place | None = None,
    figures: Figures | None = None,
) -> Case:
    offer = of_scenario(load_scenario(scenario), topology(environment), run_id="r")
    return case_of(
        offer,
        manifests(environment),
        topology(environment),
        place=where or place.local(CORES),
        figures=figures or assumed("local"),
    )


def trace(plant: Plant, load: Load, done: Any, **changes: Any) -> Trace:
    """A trace in which every task was accepted at once and done at the given times."""
    count, zeros = len(load.due_seconds), np.zeros(len(load.due_seconds))
    end = float(np.nanmax(done))
    seconds = np.arange(0, int(end) + 2, dtype=np.float64)
    nothing, flat = np.zeros(len(seconds), dtype=np.int64), np.zeros(len(seconds))
    pods = {one.deployment: np.full(len(seconds), one.replicas, dtype=np.int64) for one in plant.classes}
    values: dict[str, Any] = {
        "first_attempt": zeros,
        "accepted": zeros,
        "started": zeros,
        "done": np.asarray(done, dtype=np.float64),
        "state": np.full(count, DONE, dtype=np.int8),
        "refusals": np.zeros(count, dtype=np.int32),
        "refused_at": np.zeros(0),
        "refused_task": np.zeros(0, dtype=np.int64),
        "attempts": count,
        "refused_stored": 0,
        "repeated": 0,
        "seconds": seconds,
        "ready": {queue.name: nothing for queue in plant.queues},
        "unacked": {queue.name: nothing for queue in plant.queues},
        "desired": pods,
        "running": pods,
        "pods_ready": pods,
        "cpu_cores": {one.name: flat for one in plant.classes},
        "memory_bytes": {one.name: flat for one in plant.classes},
        "host_cores": flat,
        "busy_slots": {one.name: flat for one in plant.classes},
        "replica_seconds": {one.name: one.replicas * end for one in plant.classes},
        "steps": (),
        "end_seconds": end,
        "limit_reached": False,
    }
    return Trace(**{**values, **changes})


def step(plant: Plant, name: str, t: float, before: int, after: int) -> Step:
    deployment = next(one.deployment for one in plant.classes if one.name == name)
    return Step(t=t, deployment=deployment, before=before, after=after, reason="the queue is long")
