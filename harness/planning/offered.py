"""From the list of tasks a run would offer to the arrays a simulation works on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from harness.planning.figures import Figures, PoolFigures, assumed_pool, stated_shares
from harness.simulation.model import Empirical, Fixed, Load, Service, Task
from harness.spike.arrivals import Arrival, LoadPlan, Topology

LEAST_CPU_SECONDS = 1e-6
Services = Mapping[str, Service]
"""Task name -> how its service time is distributed, where a scenario's one figure is not all that is known."""


@dataclass(frozen=True)
class Offered:
    """The exact list of a run, and the same as arrays, in one order."""

    plan: LoadPlan
    load: Load


def offered(
    plan: LoadPlan,
    topology: Topology,
    *,
    figures: Figures,
    services: Services | None = None,
    waits: Mapping[str, float] | None = None,
) -> Offered:
    """Return the load of a plan. What a task costs in CPU is split between the worker and the rest of the machine.

    `waits` says of some tasks how long they wait for others; of the rest it is what their service time leaves beside
    their CPU time.
    """
    names: dict[str, int] = {}
    tasks: list[Task] = []
    for arrival in plan.arrivals:
        if arrival.task not in names:
            names[arrival.task] = len(tasks)
            tasks.append(_task(arrival, topology, figures, services or {}, waits or {}))
    return Offered(
        plan,
        Load(
            tasks=tuple(tasks),
            due_seconds=np.array([one.due_seconds for one in plan.arrivals], dtype=np.float64),
            task=np.array([names[one.task] for one in plan.arrivals], dtype=np.int32),
        ),
    )


def shares_of_cpu(stated_seconds: float, pool: str, figures: PoolFigures) -> tuple[float, float]:
    """Return what a task of so much stated CPU time costs here: in the worker, and in the rest of the machine."""
    own, outside = stated_shares(stated_seconds, pool)
    host = figures.host_cpu_seconds * (outside / assumed_pool(pool).host_cpu_seconds)
    return max(own * figures.cpu_factor, LEAST_CPU_SECONDS), host


def _task(
    arrival: Arrival, topology: Topology, figures: Figures, services: Services, waits: Mapping[str, float]
) -> Task:
    pool = str(topology["classes"][arrival.worker_class]["pool"])
    own, host = shares_of_cpu(arrival.cpu_seconds, pool, figures.of(pool))
    known = services.get(arrival.task)
    if known is None and arrival.task in waits:
        service: Service = Fixed(waits[arrival.task])
    else:  # `service_seconds` of a scenario is all of a slot's time, what the worker computes included.
        service = _shortened(known or Fixed(arrival.service_seconds), own)
    return Task(
        name=arrival.task,
        queue=arrival.queue,
        service=service,
        cpu_seconds=own,
        host_cpu_seconds=host,
        priority=priority_of(arrival.task, topology),
    )


def _shortened(service: Service, seconds: float) -> Service:
    """Return the service time less a part that is always the same."""
    if isinstance(service, Fixed):
        return Fixed(max(service.seconds - seconds, 0.0))
    if isinstance(service, Empirical):
        return Empirical(tuple(max(one - seconds, 0.0) for one in service.seconds))
    return replace(service, mean_seconds=max(service.mean_seconds - seconds, LEAST_CPU_SECONDS))


def priority_of(task: str, topology: Topology) -> int:
    """Return the priority a publisher gives a task: that of the first route that matches, else the default."""
    for route in topology["routes"]:
        if fnmatchcase(task, route["task"]) or fnmatchcase(task, f"*.{route['task']}"):
            found = route.get("priority")
            return int(topology.get("default_priority") or 0) if found is None else int(found)
    return int(topology.get("default_priority") or 0)
