"""The short way for plants in which nothing can happen but waiting one's turn: some ten times as fast as events."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.simulation.model import DONE, OPEN, Fixed, Load, Plant, Trace, WorkerClass
from harness.simulation.service import draw_all

Times = NDArray[np.float64]


def is_plain(plant: Plant, load: Load) -> bool:
    """Tell whether tasks can only wait: nothing is refused, expires, fails, overtakes, scales or shares a CPU."""
    return (
        plant.publisher.publishers == 1
        and plant.nodes.cores is None
        and not plant.nodes.rooms
        and all(each.scaler is None and len(each.queues) <= 1 for each in plant.classes)
        and all(
            queue.max_length_messages is None
            and queue.ttl_seconds is None
            and not (queue.priorities and len({task.priority for task in load.tasks if task.queue == queue.name}) > 1)
            for queue in plant.queues
        )
        and all(task.cpu_seconds == 0 and task.failure_share == 0 for task in load.tasks)
    )


def simulate_plain(
    plant: Plant, load: Load, kernel: ModuleType, rng: np.random.Generator, *, limit_seconds: float, to_the_limit: bool
) -> Trace:
    """Return the trace of a plain plant's run."""
    count = len(load.due_seconds)
    service = draw_all(load, rng)
    attempt, started, done = (np.full(count, np.nan) for _ in range(3))
    kernel.first_attempts(load.due_seconds, plant.publisher.publishers / plant.publisher.attempts_per_second, attempt)
    of_class = _classes_of(plant, load)
    for c, each in enumerate(plant.classes):
        chosen: Any = slice(None) if len(plant.queues) == len(plant.classes) == 1 else np.flatnonzero(of_class == c)
        started[chosen], done[chosen] = _serve(each, load, kernel, attempt[chosen], service[chosen])
    for times in (attempt, started, done):
        times[times > limit_seconds] = np.nan
    open_left = bool(np.isnan(done).any())
    end = limit_seconds if open_left or to_the_limit else float(done.max(initial=0.0))
    return _trace(plant, load, of_class, attempt, started, done, end=end, limit=limit_seconds)


def _classes_of(plant: Plant, load: Load) -> NDArray[np.int64]:
    owners = {name: c for c, each in enumerate(plant.classes) for name in each.queues}
    return np.array([owners.get(task.queue, -1) for task in load.tasks], dtype=np.int64)[load.task]


def _serve(each: WorkerClass, load: Load, kernel: ModuleType, attempt: Times, service: Times) -> tuple[Times, Times]:
    started, done = np.full(len(attempt), np.nan), np.full(len(attempt), np.nan)
    servers = each.replicas * each.slots
    if servers and len(attempt):
        stay = each.overhead_seconds + service
        if all(isinstance(task.service, Fixed) for task in load.tasks) and np.ptp(stay) == 0:
            kernel.serve_equal_stays(attempt, float(stay[0]), servers, started, done)
        else:
            kernel.serve_stays(attempt, stay, np.zeros(servers), started, done)
    return started, done


class _Seconds:
    """Counts by second: what happened until each of the trace's samples. A time that never came counts nowhere."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def _bins(self, times: Times) -> tuple[Times, NDArray[np.int64]]:
        came = times[times <= self.rows - 1]
        return came, np.ceil(came).astype(np.int64)

    def counts(self, times: Times) -> NDArray[np.int64]:
        """How many until each sample."""
        return np.cumsum(np.bincount(self._bins(times)[1], minlength=self.rows))

    def held(self, started: Times, done: Times) -> Times:
        """Mean number between start and end in the second before each sample."""
        level = self.counts(started) - self.counts(done)
        before = np.concatenate([[0], level[:-1]])
        return before + self._part(started) - self._part(done)

    def _part(self, times: Times) -> Times:
        came, bins = self._bins(times)
        return np.bincount(bins, weights=bins - came, minlength=self.rows).astype(np.float64)

    def sums(self, times: Times, amounts: Times) -> Times:
        """What was spent at these times in the second before each sample."""
        came = times <= self.rows - 1
        bins = np.ceil(times[came]).astype(np.int64)
        return np.bincount(bins, weights=amounts[came], minlength=self.rows).astype(np.float64)


def _trace(
    plant: Plant,
    load: Load,
    of_class: NDArray[np.int64],
    attempt: Times,
    started: Times,
    done: Times,
    *,
    end: float,
    limit: float,
) -> Trace:
    rows = math.floor(end if end >= limit else math.ceil(end)) + 1
    seconds, count = _Seconds(rows), len(attempt)
    queues = {queue.name: _of_queue(load, queue.name, attempt, started, done, seconds) for queue in plant.queues}
    classes = {each.name: _select(of_class == c, started, done) for c, each in enumerate(plant.classes)}
    held = {name: seconds.counts(times[0]) - seconds.counts(times[1]) for name, times in classes.items()}
    always = {each.name: np.full(rows, each.replicas) for each in plant.classes}
    replicas = {each.deployment: always[each.name].copy() for each in plant.classes}
    idle = {each.name: np.full(rows, each.idle_cores * each.replicas) for each in plant.classes}
    return Trace(
        first_attempt=attempt,
        accepted=attempt + plant.publisher.confirm_seconds,
        started=started,
        done=done,
        state=np.where(np.isnan(done), OPEN, DONE).astype(np.int8),
        refusals=np.zeros(count, np.int32),
        refused_at=np.zeros(0),
        refused_task=np.zeros(0, np.int64),
        attempts=int(np.count_nonzero(~np.isnan(attempt))),
        refused_stored=0,
        repeated=0,
        seconds=np.arange(rows, dtype=np.float64),
        ready={name: counts[0] for name, counts in queues.items()},
        unacked={name: counts[1] for name, counts in queues.items()},
        desired=replicas,
        running={name: values.copy() for name, values in replicas.items()},
        pods_ready={name: values.copy() for name, values in replicas.items()},
        cpu_cores=idle,
        memory_bytes={
            each.name: each.memory_bytes * always[each.name] + float(each.memory_bytes_per_task) * held[each.name]
            for each in plant.classes
        },
        host_cores=_host(plant, load, attempt, done, seconds) + sum(idle.values(), start=np.zeros(rows)),
        busy_slots={name: seconds.held(*times) for name, times in classes.items()},
        replica_seconds={each.name: each.replicas * end for each in plant.classes},
        steps=(),
        end_seconds=end,
        limit_reached=bool(np.isnan(done).any()),
    )


def _select(chosen: NDArray[np.bool_], *times: Times) -> tuple[Times, ...]:
    return times if chosen.all() else tuple(each[chosen] for each in times)


def _of_queue(
    load: Load, name: str, attempt: Times, started: Times, done: Times, seconds: _Seconds
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the messages that wait and those in work."""
    to_queue = np.array([task.queue == name for task in load.tasks], dtype=bool)
    chosen = np.ones(len(attempt), dtype=bool) if to_queue.all() else to_queue[load.task]
    came, began, ended = (seconds.counts(times) for times in _select(chosen, attempt, started, done))
    return came - began, began - ended


def _host(plant: Plant, load: Load, attempt: Times, done: Times, seconds: _Seconds) -> Times:
    host = np.full(seconds.rows, plant.nodes.background_cores)
    if not plant.nodes.shared_with_load:
        return host
    host += np.diff(seconds.counts(attempt), prepend=0) * plant.publisher.cpu_seconds
    costs: Mapping[int, float] = {k: task.host_cpu_seconds for k, task in enumerate(load.tasks)}
    if any(costs.values()):
        host += seconds.sums(done, np.array(list(costs.values()))[load.task])
    return host
