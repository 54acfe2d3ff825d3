"""What a plant and a load must be before anything is simulated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from harness.simulation.model import CostByRate, Load, Plant


def check(plant: Plant, load: Load, limit_seconds: float) -> None:
    """Raise ValueError naming what cannot be simulated, and why."""
    problems = [*_names(plant), *_classes(plant), *_publisher(plant), *_clocks(plant), *_load(plant, load)]
    if not 0 < limit_seconds < float("inf"):
        problems.append(f"limit_seconds is {limit_seconds}, must be above 0 and finite")
    if problems:
        raise ValueError("; ".join(problems))


def _names(plant: Plant) -> Iterator[str]:
    for what, names in (
        ("classes", [each.name for each in plant.classes]),
        ("deployments", [each.deployment for each in plant.classes]),
        ("queues", [queue.name for queue in plant.queues]),
    ):
        yield from (f"{what}: {name!r} is there twice" for name in _twice(names))
    consumed = [name for each in plant.classes for name in each.queues]
    yield from (f"queue {name!r} has two classes" for name in _twice(consumed))
    known = {queue.name for queue in plant.queues}
    yield from (f"a class consumes {name!r}, which is no queue" for name in consumed if name not in known)


def _twice(names: list[str]) -> Iterable[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _classes(plant: Plant) -> Iterator[str]:
    for each in plant.classes:
        if each.slots < 1 or each.replicas < 0:
            yield f"class {each.name!r} needs a slot or more, and no fewer than 0 replicas"
        if each.cpu_cores <= 0:
            yield f"class {each.name!r}: cpu_cores is {each.cpu_cores}, must be above 0"
        if each.cpu_weight is not None and each.cpu_weight <= 0:
            yield f"class {each.name!r}: cpu_weight is {each.cpu_weight}, must be above 0"
        yield from _cost(each.message_cost, f"class {each.name!r}: message_cost")


def _cost(law: CostByRate | None, where: str) -> Iterator[str]:
    if law is None:
        return
    if (
        not 0 < law.least_per_second <= law.most_per_second
        or law.per_second <= 0
        or min(law.exponent, law.below_exponent) < 0
    ):
        yield f"{where}: rates must be above 0, the least not above the most, and the exponents not below 0"


def _publisher(plant: Plant) -> Iterator[str]:
    if plant.publisher.publishers < 1 or plant.publisher.attempts_per_second <= 0:
        yield "the publisher needs a pace above 0, and at least one process"


def _clocks(plant: Plant) -> Iterator[str]:
    clockwork = plant.clockwork
    periods = (clockwork.controller.sync_seconds, clockwork.metrics_resolution_seconds, clockwork.statistics_seconds)
    if min(periods) <= 0 or clockwork.first_sync_seconds < 0:
        yield "the clockwork's periods must be above 0, its first sync not before the start of the load"
    if clockwork.reconcile_seconds < 0:
        yield "the clockwork's reconcile_seconds must not be below 0"
    if not 0 <= clockwork.metrics_age_seconds < clockwork.metrics_resolution_seconds:
        yield "the clockwork's metrics must be younger than their resolution, and no younger than 0"
    if plant.nodes.cores is not None and plant.nodes.cores <= 0:
        yield f"nodes.cores is {plant.nodes.cores}, must be above 0"
    if min(plant.nodes.pod_cpu_seconds, plant.nodes.pod_cores) < 0:
        yield "the nodes' pod_cpu_seconds and pod_cores must not be below 0"
    yield from _cost(plant.nodes.load_cost, "nodes.load_cost")


def _load(plant: Plant, load: Load) -> Iterator[str]:
    known = {queue.name for queue in plant.queues}
    yield from (
        f"task {task.name!r} goes to {task.queue!r}, which is no queue"
        for task in load.tasks
        if task.queue not in known
    )
    if len(load.due_seconds) != len(load.task):
        yield f"{len(load.due_seconds)} due times for {len(load.task)} tasks"
    elif len(load.task) and not 0 <= load.task.min() <= load.task.max() < len(load.tasks):
        yield "a task's index is outside the list of tasks"
    if len(load.due_seconds) and (load.due_seconds[0] < 0 or bool(np.any(np.diff(load.due_seconds) < 0))):
        yield "due times must be in order, the first not before 0"
