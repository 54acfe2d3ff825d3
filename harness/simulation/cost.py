"""What pods cost: by class, by task, by month against volume, and one set of values against another. Pure.

What is paid for is what is requested, for as long as a pod exists; where nodes are billed whole, the nodes that the
pods need. A load is priced as a cycle: the traffic and all the time until the pods are back at their minimum. A month
at some volume is the minimum all month, and what each cycle adds to it; cycles that follow closely share what lies
between them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

SECONDS_PER_HOUR = 3600.0
SECONDS_PER_MONTH = 730.0 * SECONDS_PER_HOUR
"""A twelfth of a year, as providers count it."""
GIB = 2.0**30


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What an hour costs; `source` says whose figures they are and what they leave out."""

    name: str
    source: str
    currency: str
    cpu_core_hour: float
    memory_gib_hour: float


@dataclass(frozen=True, kw_only=True)
class NodeType:
    """A machine that is billed whole: what it has for pods, and its price."""

    cores: float
    memory_gib: float
    per_hour: float


@dataclass(frozen=True, kw_only=True)
class Pod:
    """What one pod of a class requests."""

    cores: float
    memory_gib: float

    def per_hour(self, prices: Prices) -> float:
        """Return what it costs while it exists."""
        return self.cores * prices.cpu_core_hour + self.memory_gib * prices.memory_gib_hour


@dataclass(frozen=True)
class Steps:
    """A figure over time: `values[i]` from `seconds[i]` on, the last until `end_seconds`. Starts at 0."""

    seconds: tuple[float, ...]
    values: tuple[float, ...]
    end_seconds: float

    @classmethod
    def sampled(cls, values: Sequence[float], *, every_seconds: float) -> Steps:
        """Build from values taken at equal distances, the first at 0; equal neighbours become one."""
        changes = [index for index, value in enumerate(values) if index == 0 or value != values[index - 1]]
        return cls(
            tuple(index * every_seconds for index in changes),
            tuple(float(values[index]) for index in changes),
            len(values) * every_seconds,
        )

    def at(self, second: float) -> float:
        """Return the value at a time."""
        return self.values[max(0, bisect_right(self.seconds, second) - 1)]

    def integral(self, until_seconds: float = math.inf) -> float:
        """Return value times seconds, from 0 to `until_seconds` or the end."""
        until = min(until_seconds, self.end_seconds)
        edges = (*self.seconds[1:], self.end_seconds)
        return math.fsum(
            value * max(0.0, min(end, until) - start)
            for start, end, value in zip(self.seconds, edges, self.values, strict=True)
        )

    def highest(self, until_seconds: float = math.inf) -> float:
        """Return the highest value that begins before `until_seconds`."""
        return max(value for at, value in zip(self.seconds, self.values, strict=True) if at < until_seconds or at == 0)

    def mapped(self, change: Callable[[float], float]) -> Steps:
        """Return the same times with each value changed."""
        return Steps(self.seconds, tuple(change(value) for value in self.values), self.end_seconds)


@dataclass(frozen=True, kw_only=True)
class TaskUse:
    """What all runs of one task took in a cycle: `slot_seconds` of its class's slots, `cpu_seconds` of its cores."""

    name: str
    worker_class: str
    count: int
    slot_seconds: float
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class ClassUse:
    """One class in a cycle: its pod, its minimum, and its replicas from the load's start until all is as before."""

    name: str
    pod: Pod
    minimum: int
    replicas: Steps


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """A load and what it made of the replicas.

    `offered` counts tasks. `busy_seconds` lasts from the first task to the last effect: cycles cannot follow faster.
    """

    classes: tuple[ClassUse, ...]
    tasks: tuple[TaskUse, ...]
    offered: int
    busy_seconds: float


@dataclass(frozen=True, kw_only=True)
class ClassCost:
    """What one class costs: in one cycle, and a month of nothing but its minimum."""

    name: str
    pod_hours: float
    cycle: float
    idle_month: float


@dataclass(frozen=True, kw_only=True)
class TaskCost:
    """One task's part of its class's money in a cycle."""

    name: str
    worker_class: str
    count: int
    cycle: float

    @property
    def per_thousand(self) -> float:
        """What a thousand of them cost at this load."""
        return 1000.0 * self.cycle / self.count if self.count else 0.0


@dataclass(frozen=True, kw_only=True)
class Month:
    """A month at a volume of tasks. `feasible` is false where so many cycles do not fit into a month."""

    volume: int
    cost: float
    idle: float
    feasible: bool

    @property
    def busy(self) -> float:
        """What the traffic adds to the minimum."""
        return self.cost - self.idle


@dataclass(frozen=True)
class Saving:
    """Two sets of values at one volume. `share` is what the second saves of the first, None where one cannot do it."""

    volume: int
    first: Month
    second: Month
    share: float | None = field(default=None)


def by_class(cycle: Cycle, prices: Prices) -> tuple[ClassCost, ...]:
    """Return each class's pod-hours and money, requests being what is paid for."""
    return tuple(
        ClassCost(
            name=use.name,
            pod_hours=use.replicas.integral() / SECONDS_PER_HOUR,
            cycle=use.replicas.integral() / SECONDS_PER_HOUR * use.pod.per_hour(prices),
            idle_month=use.minimum * use.pod.per_hour(prices) * SECONDS_PER_MONTH / SECONDS_PER_HOUR,
        )
        for use in cycle.classes
    )


def by_task(cycle: Cycle, prices: Prices) -> tuple[TaskCost, ...]:
    """Return each task's part: of its class's cores by CPU seconds, of its memory by the seconds it held a slot.

    All of a class's money is shared out, what its pods idled included. Where no task is known to use CPU, cores are
    shared by slots too.
    """
    found = []
    for use in cycle.classes:
        hours = use.replicas.integral() / SECONDS_PER_HOUR
        tasks = [task for task in cycle.tasks if task.worker_class == use.name]
        slots = math.fsum(task.slot_seconds for task in tasks)
        cpu = math.fsum(task.cpu_seconds for task in tasks)
        for task in tasks:
            by_slots = task.slot_seconds / slots if slots else 0.0
            by_cpu = task.cpu_seconds / cpu if cpu else by_slots
            money = hours * (
                use.pod.cores * prices.cpu_core_hour * by_cpu + use.pod.memory_gib * prices.memory_gib_hour * by_slots
            )
            found.append(TaskCost(name=task.name, worker_class=use.name, count=task.count, cycle=money))
    return tuple(found)


def rate_by_requests(cycle: Cycle, prices: Prices) -> tuple[Steps, float]:
    """Return what all pods cost an hour over the cycle, and what the minimum alone does."""
    rate = together(cycle.classes, lambda counts: math.fsum(n * use.pod.per_hour(prices) for use, n in counts))
    return rate, math.fsum(use.minimum * use.pod.per_hour(prices) for use in cycle.classes)


def rate_by_nodes(cycle: Cycle, node: NodeType) -> tuple[Steps, float]:
    """Return the same where nodes are billed whole: as many as the pods need, placed largest first.

    Nodes come and go with the pods; a cluster's autoscaler takes longer. Raises ValueError for a pod that is larger
    than the node.
    """
    rate = together(cycle.classes, lambda counts: node.per_hour * nodes_needed(counts, node))
    minimum = [(use, float(use.minimum)) for use in cycle.classes]
    return rate, node.per_hour * nodes_needed(minimum, node)


def nodes_needed(counts: Sequence[tuple[ClassUse, float]], node: NodeType) -> int:
    """Return how many nodes hold these pods, first fit, largest first. Raises ValueError for one that fits on none."""
    free: list[list[float]] = []
    for use, count in sorted(counts, key=lambda each: (each[0].pod.cores, each[0].pod.memory_gib), reverse=True):
        pod = use.pod
        if pod.cores > node.cores or pod.memory_gib > node.memory_gib:
            raise ValueError(
                f"a pod of {use.name} ({pod.cores:g} cores, {pod.memory_gib:g} GiB) is larger than the node "
                f"({node.cores:g} cores, {node.memory_gib:g} GiB)"
            )
        for _ in range(math.ceil(count)):
            place = next((room for room in free if room[0] >= pod.cores and room[1] >= pod.memory_gib), None)
            if place is None:
                place = [node.cores, node.memory_gib]
                free.append(place)
            place[0] -= pod.cores
            place[1] -= pod.memory_gib
    return len(free)


def together(classes: Sequence[ClassUse], price: Callable[[Sequence[tuple[ClassUse, float]]], float]) -> Steps:
    """Return what `price` makes of all classes' replicas, whenever one of them changes."""
    times = sorted({second for use in classes for second in use.replicas.seconds})
    values = tuple(price([(use, use.replicas.at(second)) for use in classes]) for second in times)
    return Steps(tuple(times), values, max(use.replicas.end_seconds for use in classes))


def month(cycle: Cycle, rate: Steps, idle_rate: float, volume: int) -> Month:
    """Return a month in which `volume` tasks come in cycles of this shape, at equal distances.

    `rate` and `idle_rate` are money an hour. The next cycle begins where the one before it is cut: what it had added
    beyond that is not paid twice.
    """
    cycles = volume / cycle.offered
    apart = SECONDS_PER_MONTH / cycles if cycles else math.inf
    added = rate.mapped(lambda value: max(0.0, value - idle_rate)).integral(apart) / SECONDS_PER_HOUR
    idle = idle_rate * SECONDS_PER_MONTH / SECONDS_PER_HOUR
    return Month(volume=volume, cost=idle + cycles * added, idle=idle, feasible=apart >= cycle.busy_seconds)


def largest_volume(cycle: Cycle) -> int:
    """Return how many tasks a month of cycles, one after another, holds."""
    return math.floor(cycle.offered * SECONDS_PER_MONTH / cycle.busy_seconds)


def savings(first: Sequence[Month], second: Sequence[Month]) -> tuple[Saving, ...]:
    """Compare two sets of values at the same volumes."""
    return tuple(
        Saving(a.volume, a, b, 1.0 - b.cost / a.cost if a.feasible and b.feasible and a.cost else None)
        for a, b in zip(first, second, strict=True)
    )


def with_tail(replicas: Steps, tail: Steps) -> Steps:
    """Return a measured run's replicas with what follows its end."""
    return Steps(
        (*replicas.seconds, *(replicas.end_seconds + second for second in tail.seconds)),
        (*replicas.values, *tail.values),
        replicas.end_seconds + tail.end_seconds,
    )


def volumes(*, given: int | None, offered: int, largest: Mapping[str, int]) -> tuple[int, ...]:
    """Return the volumes of a table: none, then powers of ten from one cycle on that some set can do, and `given`."""
    most = max(largest.values(), default=offered)
    found, power = {0}, 10 ** max(0, math.ceil(math.log10(max(1, offered))))
    while power <= most:
        found.add(power)
        power *= 10
    if given is not None:
        found.add(given)
    return tuple(sorted(found))
