"""Holding two sets of values to the same CPU and memory: how many pods of each class a budget buys. Pure.

What a pod takes of a budget is what it requests, as for a scheduler or a ResourceQuota. All of a set's maxima together
stay within it, so that no moment of a run can need more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.simulation.cost import Pod

_ROUNDING = 1e-9
"""Sums of requests such as 0.2 are not exact."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What all pods of a set may request together."""

    cores: float
    memory_gib: float

    def holds(self, other: Budget) -> bool:
        """Whether as much fits into it."""
        return other.cores <= self.cores + _ROUNDING and other.memory_gib <= self.memory_gib + _ROUNDING


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A worker class: its pod, its bounds, the slots of one pod, and the slot-seconds that will be offered to it."""

    name: str
    pod: Pod
    minimum: int
    maximum: int
    concurrency: int
    work_seconds: float

    @property
    def least(self) -> int:
        """The fewest pods it can do its work with: one, also where it may scale to none."""
        return max(1, self.minimum)


def requested(workers: Sequence[Worker], pods: Mapping[str, int]) -> Budget:
    """Return what so many pods of each class request together."""
    return Budget(
        cores=math.fsum(pods[one.name] * one.pod.cores for one in workers),
        memory_gib=math.fsum(pods[one.name] * one.pod.memory_gib for one in workers),
    )


def smallest(workers: Sequence[Worker]) -> Budget:
    """Return the smallest budget a set can work with: that of its minimum."""
    return requested(workers, {one.name: one.least for one in workers})


def pods_within(workers: Sequence[Worker], budget: Budget) -> dict[str, int]:
    """Return how many pods of each class a budget buys, at most its own maximum.

    Beyond the minimum each next pod goes to the class whose slots have most to do, among those that still fit: the best
    use that this load can make of the budget. Raises ValueError where not even the minimum fits.
    """
    pods = {one.name: one.least for one in workers}
    if not budget.holds(requested(workers, pods)):
        least = requested(workers, pods)
        raise ValueError(
            f"the minimum requests {least.cores:g} cores and {least.memory_gib:g} GiB, "
            f"the budget has {budget.cores:g} and {budget.memory_gib:g}"
        )
    while True:
        more = [
            one
            for one in workers
            if pods[one.name] < one.maximum and budget.holds(requested(workers, {**pods, one.name: pods[one.name] + 1}))
        ]
        if not more:
            return pods
        pods[max(more, key=lambda one: one.work_seconds / (pods[one.name] * one.concurrency)).name] += 1


def slots(workers: Sequence[Worker], pods: Mapping[str, int]) -> int:
    """Return how many tasks so many pods work on at once."""
    return sum(pods[one.name] * one.concurrency for one in workers)
