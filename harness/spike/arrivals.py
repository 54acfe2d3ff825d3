"""From a scenario to the exact list of tasks to offer, and what that list needs at least. Pure.

The same scenario, topology and run id give the same list everywhere, so that each Locust worker can take its share of
it without being told. Chance comes from hashes of the seed, which do not change with the Python version.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from harness.errors import InputError
from harness.spike.scenario import Phase, Scenario, TaskMix

NORMAL_UTILISATION = 0.6
"""1x of a class where a scenario does not state it: this share of what its minimum replicas hold."""
MAX_CPU_SHARE = 0.6
"""Above this share of the machine's cores at its peak a scenario would measure the machine, not the workers."""
PEAK_WINDOW_SECONDS = 10
ADDED_REPLICA_SECONDS = 10.0
"""From the start of a load to the work of the first replica added for it: half a sync of 15 s on average, and the start
of a worker process."""
BACKGROUND_CORES = 0.1
"""What the run costs besides the tasks: the run loop, idle workers, the broker's statistics."""

Topology = Mapping[str, Any]
Ramp = tuple[tuple[float, int], ...]
"""From when on (seconds from the start of the load) a class has how many replicas."""
_NAMESPACE = uuid.UUID("6f0c2f3e-7b0d-4c1e-9d53-0a8a4c1f5e21")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One task to offer. `due_seconds` is when its first attempt should start, from the start of the load."""

    id: str
    due_seconds: float
    task: str
    phase: str
    kwargs: Mapping[str, Any]
    queue: str
    worker_class: str
    service_seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class PhaseSpan:
    """When a phase starts and ends, in seconds from the start of the load, and how many tasks it offers."""

    name: str
    start_seconds: float
    end_seconds: float
    count: int


@dataclass(frozen=True)
class LoadPlan:
    """Everything a run offers, in the order of the due times."""

    run_id: str
    arrivals: tuple[Arrival, ...]
    phases: tuple[PhaseSpan, ...]

    @property
    def last_due_seconds(self) -> float:
        """When the last first attempt is due."""
        return self.arrivals[-1].due_seconds

    def share(self, index: int, count: int) -> tuple[Arrival, ...]:
        """Return the arrivals of publisher `index` (from 0) of `count`."""
        if not 0 <= index < count:
            raise ValueError(f"publisher {index} of {count}")
        return self.arrivals[index::count]


def plan(scenario: Scenario, topology: Topology, *, run_id: str) -> LoadPlan:
    """Lay out the scenario's tasks. Raises InputError when it names a class or queue that the topology has not."""
    arrivals: list[Arrival] = []
    spans: list[PhaseSpan] = []
    queues = {task.task: queue_of(task.task, topology) for task in scenario.tasks}
    classes = {queue: class_of(queue, topology) for queue in queues.values()}
    for phase, start in zip(scenario.phases, scenario.phase_starts, strict=True):
        before = len(arrivals)
        for due, task in _phase_tasks(scenario, phase, topology):
            queue = queues[task.task]
            arrivals.append(
                Arrival(
                    id=str(uuid.uuid5(_NAMESPACE, f"{run_id}/{scenario.name}/{len(arrivals)}")),
                    due_seconds=start + due,
                    task=task.task,
                    phase=phase.name,
                    kwargs=task.kwargs,
                    queue=queue,
                    worker_class=classes[queue],
                    service_seconds=task.service_seconds,
                    cpu_seconds=task.cpu_seconds,
                )
            )
        spans.append(PhaseSpan(phase.name, start, start + phase.seconds, len(arrivals) - before))
    if not arrivals:
        raise InputError(f"{scenario.label}: phases: the scenario offers no task at all; raise a rate or its seconds")
    return LoadPlan(run_id, tuple(sorted(arrivals, key=lambda arrival: arrival.due_seconds)), tuple(spans))


def _phase_tasks(scenario: Scenario, phase: Phase, topology: Topology) -> list[tuple[float, TaskMix]]:
    """Return when each task of the phase is due, from the phase's start."""
    mix = [task for task in scenario.tasks if phase.groups is None or task.group in phase.groups]
    if phase.load is None:
        count = phase.count if phase.count is not None else round((phase.rate_per_second or 0) * phase.seconds)
        return _spread(mix, count, phase.seconds, f"{scenario.seed}/{phase.name}")
    found = []
    for worker_class, factor in phase.load.items():
        tasks = _tasks_of(mix, worker_class, topology, label=scenario.label)
        rate = normal_rate(tasks, worker_class, topology, normal_slots=scenario.normal_slots)
        count = round(factor * rate * phase.seconds)
        found += _spread(tasks, count, phase.seconds, f"{scenario.seed}/{phase.name}/{worker_class}")
    return found


def _spread(tasks: Sequence[TaskMix], count: int, seconds: float, seed: str) -> list[tuple[float, TaskMix]]:
    """Place `count` tasks at random over `seconds`: a Poisson stream of which the total is known."""
    dues = sorted(seconds * _chance(f"{seed}/due/{index}") for index in range(count))
    ordered = [task for task, number in zip(tasks, _apportion(tasks, count), strict=True) for _ in range(number)]
    shuffled = sorted(range(count), key=lambda index: _chance(f"{seed}/task/{index}"))
    return [(due, ordered[index]) for due, index in zip(dues, shuffled, strict=True)]


def _apportion(tasks: Sequence[TaskMix], count: int) -> list[int]:
    """Divide `count` by the tasks' shares, each rounded so that the total is kept (largest remainder)."""
    total = sum(task.share for task in tasks)
    exact = [count * task.share / total for task in tasks]
    numbers = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(tasks)), key=lambda index: (numbers[index] - exact[index], index))
    for index in by_remainder[: count - sum(numbers)]:
        numbers[index] += 1
    return numbers


def _chance(name: str) -> float:
    """Return a number in [0, 1) that depends on `name` only."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big") / 256**7


# --- what the topology says ----------------------------------------------------------------------------------------


def queue_of(task: str, topology: Topology) -> str:
    """Return the queue a task is routed to: the first pattern that matches the name, or its part after a dot."""
    for route in topology["routes"]:
        if fnmatchcase(task, route["task"]) or fnmatchcase(task, f"*.{route['task']}"):
            return str(route["queue"])
    return str(topology["default_queue"])


def class_of(queue: str, topology: Topology) -> str:
    """Return the worker class that consumes a queue. Raises InputError when none does."""
    found = topology["queues"].get(queue)
    if found is None:
        raise InputError(f"topology: no queue {queue!r}; queues: {', '.join(sorted(topology['queues']))}")
    return str(found["class"])


def normal_rate(
    tasks: Sequence[TaskMix], worker_class: str, topology: Topology, *, normal_slots: Mapping[str, float] | None = None
) -> float:
    """Return 1x of a class in tasks a second, for this mix of its tasks; `normal_slots` as a scenario states it."""
    mean_seconds = sum(task.share * task.service_seconds for task in tasks) / sum(task.share for task in tasks)
    if normal_slots is not None:
        return normal_slots[worker_class] / mean_seconds
    settings = topology["classes"][worker_class]
    return float(NORMAL_UTILISATION * settings["replicas"]["min"] * settings["concurrency"] / mean_seconds)


def slots_at_most(worker_class: str, topology: Topology) -> int:
    """Return how many tasks a class works on at once when it has all its replicas."""
    settings = topology["classes"][worker_class]
    return int(settings["replicas"]["max"] * settings["concurrency"])


def _tasks_of(mix: Sequence[TaskMix], worker_class: str, topology: Topology, *, label: str) -> list[TaskMix]:
    if worker_class not in topology["classes"]:
        known = ", ".join(sorted(topology["classes"]))
        raise InputError(f"{label}: phases: no worker class {worker_class!r} in these values; there are: {known}")
    tasks = [task for task in mix if class_of(queue_of(task.task, topology), topology) == worker_class]
    if not tasks:
        raise InputError(f"{label}: phases: load on {worker_class!r}, but no task of the mix goes there")
    return tasks


# --- what it needs at least ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Run:
    """One task's way in the best case: offered, taken by a slot, done."""

    offered_seconds: float
    start_seconds: float
    end_seconds: float
    cpu_seconds: float


def ideal_drain_seconds(load: LoadPlan, topology: Topology) -> float:
    """Return from the last due time to the end of the last task, with all replicas from the start and no overhead."""
    return max(run.end_seconds for run in _best_case(load.arrivals, _all_slots(topology))) - load.last_due_seconds


def _all_slots(topology: Topology) -> dict[str, list[float]]:
    """When each slot of each class begins to work, with all replicas from the start."""
    return {name: [0.0] * slots_at_most(name, topology) for name in topology["classes"]}


def _growing_slots(topology: Topology, ramps: Mapping[str, Ramp]) -> dict[str, list[float]]:
    """When each slot of each class begins to work; a replica that was added needs a moment."""
    slots = _all_slots(topology)
    for name, ramp in ramps.items():
        concurrency, before, starts = int(topology["classes"][name]["concurrency"]), 0, list[float]()
        for at_seconds, replicas in ramp:
            ready_at = at_seconds + ADDED_REPLICA_SECONDS if before else 0.0
            starts += [ready_at] * concurrency * (replicas - before)
            before = replicas
        slots[name] = starts
    return slots


def _best_case(
    arrivals: Iterable[Arrival], slots: Mapping[str, list[float]], *, attempts_per_second: float = math.inf
) -> list[_Run]:
    """Serve each class first come, first served, on its slots; offers leave at the publisher's pace."""
    free = {name: sorted(starts) for name, starts in slots.items()}  # sorted lists are heaps
    runs, offered_at = [], 0.0
    for arrival in arrivals:
        offered_at = max(arrival.due_seconds, offered_at)
        start = max(offered_at, free[arrival.worker_class][0])
        heapq.heapreplace(free[arrival.worker_class], start + arrival.service_seconds)
        runs.append(_Run(offered_at, start, start + arrival.service_seconds, arrival.cpu_seconds))
        offered_at += 1 / attempts_per_second
    return runs


def peak_cores(
    scenario: Scenario, topology: Topology, *, load: LoadPlan | None = None, ramps: Mapping[str, Ramp] | None = None
) -> tuple[float, float]:
    """Return the CPU need in the busiest 10 s, in cores, and when those begin.

    An upper estimate: each class grows as fast as `ramps` says (default: has all replicas from the start). A task
    whose slot is not free when it is offered counts a second attempt then, as if a full queue had refused the first.
    `load` is the scenario's plan where it has been laid out already.
    """
    load = load or plan(scenario, topology, run_id="peak")
    slots = _all_slots(topology) if ramps is None else _growing_slots(topology, ramps)
    runs = _best_case(load.arrivals, slots, attempts_per_second=scenario.publisher.attempts_per_second)
    bins = [0.0] * (math.ceil(max(run.end_seconds for run in runs)) + 1)
    for run in runs:
        for attempt_at in {run.offered_seconds, run.start_seconds}:
            bins[int(attempt_at)] += scenario.publisher.cpu_seconds
        _spend(bins, run)
    width = min(PEAK_WINDOW_SECONDS, len(bins))
    need, begin = max((sum(bins[at : at + width]) / width, -at) for at in range(len(bins) - width + 1))
    return BACKGROUND_CORES + need, float(-begin)


def _spend(bins: list[float], run: _Run) -> None:
    """Spread a task's CPU evenly over its stay."""
    length = run.end_seconds - run.start_seconds
    second = int(run.start_seconds)
    while second < run.end_seconds:
        overlap = min(run.end_seconds, second + 1) - max(run.start_seconds, second)
        bins[second] += run.cpu_seconds * overlap / length
        second += 1


def check_fits(
    scenario: Scenario,
    topology: Topology,
    *,
    cores: int,
    load: LoadPlan | None = None,
    ramps: Mapping[str, Ramp] | None = None,
) -> None:
    """Raise InputError when the scenario's busiest seconds need more than 60 % of the machine's cores."""
    need, at_seconds = peak_cores(scenario, topology, load=load, ramps=ramps)
    allowed = MAX_CPU_SHARE * cores
    if need > allowed:
        raise InputError(
            f"{scenario.label}: {scenario.name} would need {need:.2f} cores from second {at_seconds:.0f} on, and "
            f"{MAX_CPU_SHARE:.0%} of this machine's {cores} are {allowed:.2f}: it would measure the machine. Run it on "
            f"{math.ceil(need / MAX_CPU_SHARE)} cores or more, offer less, or raise the tasks' latency"
        )
