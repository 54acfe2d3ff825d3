"""What the coarse model's curves say: depth, refusals, drain, times to completion, pod-seconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.simulation.cost import Steps
from harness.simulation.fluid_plant import Layout
from harness.simulation.fluid_tables import Curves, Records, Tables
from harness.simulation.model import Plant

UNDONE_TASKS = 0.5
"""Less than half a task left is none."""
SLIGHT_TASKS = 1e-6
WaitShares = Callable[[Curves, int, int, int, int, Records], None]


@dataclass(frozen=True)
class Times:
    """How long tasks took from first attempt to end: by lane, how many waited so many steps."""

    layout: Layout
    waits: tuple[Records, ...]
    offered: float

    def within(self, seconds: float) -> float:
        """Return the share of the offered tasks that were done within `seconds`."""
        if self.offered <= 0.0:
            return 1.0
        done, step = 0.0, self.layout.step_seconds
        for lane, waits in zip(self.layout.lanes, self.waits, strict=True):
            added = np.cumsum(waits)
            for hold, share in lane.holds:
                last = math.floor((seconds - hold) / step + 1e-6)
                if last >= 0:
                    done += share * float(added[min(last, len(added) - 1)])
        return done / self.offered

    def percentile(self, percent: float) -> float:
        """Return the time within which so many per cent of the offered were done; infinity where they never were."""
        goal = percent / 100.0
        longest = max(hold for lane in self.layout.lanes for hold, _ in lane.holds)
        low, high = 0.0, longest + len(self.waits[0]) * self.layout.step_seconds
        if self.within(high) < goal - 1e-9:
            return math.inf
        while high - low > self.layout.step_seconds / 8.0:
            middle = (low + high) / 2.0
            low, high = (low, middle) if self.within(middle) >= goal - 1e-9 else (middle, high)
        return high


@dataclass(frozen=True)
class Outcome:
    """One coarse run. Sequences are in the order of the plant's classes, and of their queues. `end`: steps."""

    plant: Plant
    tables: Tables
    layout: Layout
    curves: Curves
    end: int
    wait_shares: WaitShares

    @property
    def end_seconds(self) -> float:
        """How long the run was."""
        return float(self.end * self.layout.step_seconds)

    @property
    def offered(self) -> float:
        """All first attempts made."""
        return float(self.curves.lanes["offered"][self.end].sum())

    @property
    def done(self) -> float:
        """All tasks done."""
        return float(self.curves.lanes["done"][self.end].sum())

    @property
    def given_up(self) -> float:
        """Tasks refused for good."""
        return float(self.curves.lanes["given_up"][self.end].sum())

    @property
    def expired(self) -> float:
        """Tasks that waited longer than their queue lets them."""
        return float(self.curves.lanes["expired"][self.end].sum())

    @property
    def undone(self) -> float:
        """Tasks that are still somewhere at the end, or were never offered."""
        return float(self.tables.arrivals.sum()) - self.done - self.given_up - self.expired

    @property
    def refused(self) -> float:
        """First attempts that found a full queue."""
        return float(self.curves.queues["refused"].sum())

    def peak_messages(self) -> dict[str, float]:
        """Return the most messages each queue had waiting."""
        names = [name for worker in self.plant.classes for name in worker.queues]
        peaks = self.curves.queues["waiting"][: self.end].max(axis=0)
        return {name: float(peak) for name, peak in zip(names, peaks, strict=True)}

    def replicas(self) -> dict[str, Steps]:
        """Return each class's pods over time."""
        step = self.layout.step_seconds
        return {
            worker.name: Steps.sampled(self.curves.pools["replicas"][: self.end, c].tolist(), every_seconds=step)
            for c, worker in enumerate(self.plant.classes)
        }

    def pod_seconds(self) -> dict[str, float]:
        """Return for how long each class had pods, all together."""
        sums = self.curves.pools["replicas"][: self.end].sum(axis=0) * self.layout.step_seconds
        return {worker.name: float(total) for worker, total in zip(self.plant.classes, sums, strict=True)}

    def last_effect_seconds(self) -> float | None:
        """Return when the last task was done, within a step; None when some never was."""
        if self.undone > UNDONE_TASKS:
            return None
        started = self.curves.lanes["started"][: self.end + 1]
        last = 0.0
        for lane, begun in zip(self.layout.lanes, started.T, strict=True):
            rows = np.nonzero(np.diff(begun) > SLIGHT_TASKS)[0]
            if len(rows):
                middle = (float(rows[-1]) + 0.5) * self.layout.step_seconds
                last = max(last, middle + max(seconds for seconds, _ in lane.holds))
        return last

    def drain_seconds(self) -> float | None:
        """Return the time from the last due attempt to the last effect; None when the backlog never went."""
        last = self.last_effect_seconds()
        return None if last is None else max(0.0, last - self.layout.last_due_seconds)

    def first_added_ready_seconds(self) -> float | None:
        """Return when first a class had more ready pods than at the start; None when none had."""
        ready = self.curves.pools["ready"][: self.end]
        rows = np.nonzero((ready > ready[0]).any(axis=1))[0]
        return float(rows[0]) * self.layout.step_seconds if len(rows) else None

    def times(self, first_seconds: float = 0.0, last_seconds: float = math.inf) -> Times:
        """Return the times of the tasks offered in a stretch of the run."""
        step = self.layout.step_seconds
        first = math.floor(first_seconds / step + 1e-9)
        last = min(self.end, math.ceil(min(last_seconds / step, self.end)))
        waits = tuple(np.zeros(self.end + 2) for _ in self.layout.lanes)
        for lane, found in enumerate(waits):
            self.wait_shares(self.curves, lane, first, last, self.end, found)
        offered = float((self.curves.lanes["offered"][last] - self.curves.lanes["offered"][first]).sum())
        return Times(self.layout, waits, offered)
