"""From a plant and a load to the coarse model's tables."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

import numpy as np

from harness.simulation import fluid_tables as tables_of
from harness.simulation.fluid_rules import or_none, queue_names, rules_of, triggers_of
from harness.simulation.fluid_tables import NONE, Records, Tables, records
from harness.simulation.model import Empirical, Exponential, Fixed, Load, Plant, Service, Task

SERVICE_POINTS = 16
"""By how many times a random service time is stood for."""
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Lane:
    """The tasks of one queue and priority. `holds`: how long they hold a slot, each with its share."""

    queue: str
    priority: int
    holds: Points
    cpu_seconds: float

    @property
    def hold_seconds(self) -> float:
        """The mean."""
        return math.fsum(seconds * share for seconds, share in self.holds)


@dataclass(frozen=True)
class Layout:
    """A load laid out for a plant's queues: what stays the same while its autoscalers and limits are varied."""

    lanes: tuple[Lane, ...]
    arrivals: Records
    step_seconds: float
    last_due_seconds: float
    offered: int


def lay_out(plant: Plant, load: Load, *, step_seconds: float, limit_seconds: float) -> Layout:
    """Count a load's tasks by lane and step; what is due after the limit is left out.

    `step_seconds` is to divide the autoscaler's period. Raises ValueError where it does not.
    """
    period = plant.clockwork.controller.sync_seconds
    if abs(period / step_seconds - round(period / step_seconds)) > 1e-9:
        raise ValueError(f"a step of {step_seconds:g} s does not divide the autoscaler's period, {period:g} s")
    groups = _groups(plant, load)
    index = {task: row for row, (_, members) in enumerate(groups) for task, _ in members}
    steps = math.ceil(limit_seconds / step_seconds)
    at = np.floor(load.due_seconds / step_seconds + 1e-9).astype(np.int64)
    row = np.array([index.get(task, 0) for task in range(len(load.tasks))], np.int64)[load.task]
    arrivals = np.zeros((steps, len(groups)))
    inside = at < steps
    np.add.at(arrivals, (at[inside], row[inside]), 1.0)
    lanes = tuple(_lane(plant, load.tasks, key, members) for key, members in groups)
    last = float(load.due_seconds[-1]) if len(load.due_seconds) else 0.0
    return Layout(lanes, arrivals, step_seconds, last, len(load.due_seconds))


def tables(plant: Plant, layout: Layout, *, load_factor: float = 1.0, stop_when_quiet: bool = False) -> Tables:
    """Return what `fluid.run` takes; every task of the layout counts `load_factor` times.

    Raises ValueError for an autoscaler the coarse model does not know, naming its Deployment.
    """
    step = layout.step_seconds
    lanes, taps = _lanes(layout, step)
    rules, directions, policies = rules_of(plant, step)
    return Tables(
        grid=_grid(plant, layout, stop_when_quiet),
        lanes=lanes,
        taps=taps,
        queues=_queues(plant, layout, step),
        pools=_pools(plant),
        rules=rules,
        directions=directions,
        policies=policies,
        triggers=triggers_of(plant),
        arrivals=layout.arrivals * load_factor,
    )


def _grid(plant: Plant, layout: Layout, stop_when_quiet: bool) -> Records:
    step, clock = layout.step_seconds, plant.clockwork
    return records(
        tables_of.GRID,
        [
            {
                "steps": len(layout.arrivals),
                "seconds": step,
                "first_sync": round(clock.first_sync_seconds / step),
                "sync_every": round(clock.controller.sync_seconds / step),
                "statistics_lag": math.floor(clock.statistics_seconds / step),
                "rate_steps": max(1, round(clock.statistics_seconds / step)),
                "stop_when_quiet": int(stop_when_quiet),
                "attempts": plant.publisher.attempts_per_second * step,
                "deadline_steps": math.ceil(plant.publisher.deadline_seconds / step),
            }
        ],
    )


# --- lanes ---------------------------------------------------------------------------------------------------------


def _groups(plant: Plant, load: Load) -> list[tuple[tuple[str, int], list[tuple[int, int]]]]:
    """Return ((queue, priority), [(task index, count)]) in the order of the tables; a queue without tasks has one."""
    queues = {queue.name: queue for queue in plant.queues}
    counts = np.bincount(load.task, minlength=len(load.tasks))
    found: dict[str, dict[int, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for number, task in enumerate(load.tasks):
        priority = task.priority if queues[task.queue].priorities else 0
        found[task.queue][priority].append((number, int(counts[number])))
    return [
        ((name, priority), found[name].get(priority, []))
        for name in queue_names(plant)
        for priority in sorted(found[name] or {0: []}, reverse=True)
    ]


def _lane(plant: Plant, tasks: Sequence[Task], key: tuple[str, int], members: list[tuple[int, int]]) -> Lane:
    worker = next(worker for worker in plant.classes if key[0] in worker.queues)
    total = sum(count for _, count in members)
    if not total:
        return Lane(*key, ((1.0, 1.0),), 0.0)
    holds: list[tuple[float, float]] = []
    cpu = 0.0
    for number, count in members:
        task, share = tasks[number], count / total
        runs = math.fsum(task.failure_share**attempt for attempt in range(task.max_retries + 1))
        beside = task.cpu_seconds + worker.overhead_seconds
        holds += [(runs * (seconds + beside), share * part) for seconds, part in service_points(task.service)]
        cpu += share * runs * task.cpu_seconds
    return Lane(*key, tuple(holds), cpu)


def service_points(service: Service) -> Points:
    """Return times and shares that stand for a service time; their mean is its mean."""
    if isinstance(service, Fixed):
        return ((service.seconds, 1.0),)
    if isinstance(service, Empirical):
        ordered = sorted(service.seconds)
        size = math.ceil(len(ordered) / SERVICE_POINTS)
        parts = [ordered[start : start + size] for start in range(0, len(ordered), size)]
        return tuple((fmean(part), len(part) / len(ordered)) for part in parts)
    middles = [(number + 0.5) / SERVICE_POINTS for number in range(SERVICE_POINTS)]
    if isinstance(service, Exponential):
        times = [-math.log(1.0 - middle) for middle in middles]
    else:
        spread = math.sqrt(math.log1p(service.variation**2))
        times = [math.exp(spread * NormalDist().inv_cdf(middle)) for middle in middles]
    scale = service.mean_seconds / fmean(times)
    return tuple((time * scale, 1.0 / SERVICE_POINTS) for time in times)


def _lanes(layout: Layout, step: float) -> tuple[Records, Records]:
    rows = [_taps(lane.holds, step) for lane in layout.lanes]
    taps = np.zeros((len(rows), max(len(row) for row in rows)), tables_of.TAP)
    for index, row in enumerate(rows):
        taps[index, : len(row)] = sorted(row.items())
    lanes = [
        {"cpu_cores": lane.cpu_seconds / lane.hold_seconds, "running": 1.0 - row.get(0, 0.0), "taps": len(row)}
        for lane, row in zip(layout.lanes, rows, strict=True)
    ]
    return records(tables_of.LANE, lanes), taps


def _taps(holds: Points, step: float) -> dict[int, float]:
    """Return after how many steps which share of the starts ends, a start being anywhere within its step."""
    found: dict[int, float] = defaultdict(float)
    for seconds, share in holds:
        whole = math.floor(seconds / step + 1e-9)
        later = max(seconds / step - whole, 0.0)
        found[whole] += share * (1.0 - later)
        if later > 0.0:
            found[whole + 1] += share * later
    return found


# --- queues and pods -----------------------------------------------------------------------------------------------


def _queues(plant: Plant, layout: Layout, step: float) -> Records:
    by_name = {queue.name: queue for queue in plant.queues}
    found = []
    for name in queue_names(plant):
        queue, lanes = by_name[name], [row for row, lane in enumerate(layout.lanes) if lane.queue == name]
        found.append(
            {
                "first": lanes[0],
                "last": lanes[-1] + 1,
                "limit": math.inf if queue.max_length_messages is None else queue.max_length_messages,
                "keeps_refused": int(queue.overflow == "reject-publish-dlx"),
                "ttl_steps": NONE if queue.ttl_seconds is None else math.ceil(queue.ttl_seconds / step),
            }
        )
    return records(tables_of.QUEUE, found)


def _pools(plant: Plant) -> Records:
    found, first = [], 0
    for worker in plant.classes:
        last = first + len(worker.queues)
        found.append(
            {
                "first": first,
                "last": last,
                "slots": worker.slots,
                "cores": worker.cpu_cores,
                "idle_cores": worker.idle_cores,
                "start_seconds": worker.start_seconds,
                "ready_seconds": worker.ready_seconds,
                "replicas": worker.replicas,
                "cpu_request_milli": or_none(worker.cpu_request_milli),
                "memory_request_milli": or_none(worker.memory_request_milli),
                "memory_bytes": worker.memory_bytes,
                "memory_bytes_per_task": worker.memory_bytes_per_task,
            }
        )
        first = last
    return records(tables_of.POOL, found)
