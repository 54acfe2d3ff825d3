"""The short way for plants in which nothing can happen but waiting one's turn: some ten times as fast as events."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from harness.simulation.model import DONE, OPEN, Fixed, Load, Plant, Trace, WorkerClass
from harness.simulation.service import draw_all

Times = NDArray[np.float64]
Counts = NDArray[np.int64]


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
    due = np.array(load.due_seconds, dtype=np.float64)  # its own: the kernel is compiled for one kind of array
    kernel.first_attempts(due, plant.publisher.publishers / plant.publisher.attempts_per_second, attempt)
    for each in plant.classes:
        chosen = _tasks_to(load, each.queues)
        started[chosen], done[chosen] = _serve(each, load, kernel, attempt[chosen], service[chosen])
    for times in (attempt, started, done):
        if count and not times.max() <= limit_seconds:  # some come later, or never
            times[times > limit_seconds] = np.nan
    unfinished = bool(np.isnan(done).any())
    end = limit_seconds if unfinished or to_the_limit else float(done.max(initial=0.0))
    rows = math.floor(end if end >= limit_seconds else math.ceil(end)) + 1
    counted = {
        queue.name: _Counted.of(
            kernel, rows, *(each[_tasks_to(load, (queue.name,))] for each in (attempt, started, done))
        )
        for queue in plant.queues
    }
    return _trace(plant, counted, attempt, started, done, host=_host(plant, load, kernel, rows, counted, done), end=end)


def _tasks_to(load: Load, queues: Sequence[str]) -> Any:
    """Return an index of the tasks that go to some queues."""
    chosen = np.array([task.queue in queues for task in load.tasks], dtype=bool)
    return slice(None) if chosen.all() else np.flatnonzero(chosen[load.task])


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


def _count(kernel: ModuleType, rows: int, times: Times) -> tuple[Counts, Times]:
    """Return how many came until each of the trace's samples, and in the second before how long before it in all."""
    counts, parts = np.zeros(rows, np.int64), np.zeros(rows)
    kernel.count_by_second(times, counts, parts)
    return np.cumsum(counts), parts


@dataclass(frozen=True)
class _Counted:
    """What has happened in a queue until each sample; `busy` is the mean number in work in the second before."""

    offered: Counts
    begun: Counts
    done: Counts
    busy: Times

    @classmethod
    def of(cls, kernel: ModuleType, rows: int, attempt: Times, started: Times, done: Times) -> Self:
        offered, _ = _count(kernel, rows, attempt)
        begun, begun_part = _count(kernel, rows, started)
        ended, ended_part = _count(kernel, rows, done)
        before = np.concatenate([[0], (begun - ended)[:-1]])
        return cls(offered, begun, ended, before + begun_part - ended_part)


def _host(
    plant: Plant, load: Load, kernel: ModuleType, rows: int, counted: Mapping[str, _Counted], done: Times
) -> Times:
    """Return what the machine is asked for besides the pods, in cores."""
    pods = sum(each.replicas for each in plant.classes)
    host = np.full(rows, plant.nodes.background_cores + pods * plant.nodes.pod_cores)
    if plant.nodes.shared_with_load:
        for each in counted.values():
            host += np.diff(each.offered, prepend=0) * plant.publisher.cpu_seconds
        for index, task in enumerate(load.tasks):
            if task.host_cpu_seconds:
                host += np.diff(_count(kernel, rows, done[load.task == index])[0], prepend=0) * task.host_cpu_seconds
    return host


def _trace(
    plant: Plant,
    counted: Mapping[str, _Counted],
    attempt: Times,
    started: Times,
    done: Times,
    *,
    host: Times,
    end: float,
) -> Trace:
    rows, count = len(host), len(attempt)
    none = np.zeros(rows, np.int64)
    nothing = _Counted(none, none, none, np.zeros(rows))
    of_class = {each.name: counted[each.queues[0]] if each.queues else nothing for each in plant.classes}
    idle = {each.name: np.full(rows, each.idle_cores * each.replicas) for each in plant.classes}
    state = np.full(count, DONE, np.int8)
    state[np.isnan(done)] = OPEN

    def replicas() -> dict[str, Counts]:
        return {each.deployment: np.full(rows, each.replicas) for each in plant.classes}

    return Trace(
        first_attempt=attempt,
        accepted=attempt + plant.publisher.confirm_seconds,
        started=started,
        done=done,
        state=state,
        refusals=np.zeros(count, np.int32),
        refused_at=np.zeros(0),
        refused_task=np.zeros(0, np.int64),
        attempts=count - int(np.isnan(attempt).sum()),
        refused_stored=0,
        repeated=0,
        seconds=np.arange(rows, dtype=np.float64),
        ready={name: each.offered - each.begun for name, each in counted.items()},
        unacked={name: each.begun - each.done for name, each in counted.items()},
        desired=replicas(),
        running=replicas(),
        pods_ready=replicas(),
        cpu_cores=idle,
        memory_bytes={each.name: _memory(each, of_class[each.name]) for each in plant.classes},
        host_cores=host + sum(idle.values(), start=np.zeros(rows)),
        busy_slots={name: each.busy for name, each in of_class.items()},
        replica_seconds={each.name: each.replicas * end for each in plant.classes},
        steps=(),
        end_seconds=end,
        limit_reached=bool((state == OPEN).any()),
    )


def _memory(each: WorkerClass, counted: _Counted) -> Times:
    in_work = (counted.begun - counted.done).astype(np.float64)
    return each.memory_bytes * each.replicas + each.memory_bytes_per_task * in_work
