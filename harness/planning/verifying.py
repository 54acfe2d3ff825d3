"""Simulating a choice of settings task by task, with several seeds. Pure but for the simulation it is given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from harness.planning.case import Case, Judgement, Simulate, critical, judge, strain
from harness.planning.settings import Setting, applied
from harness.spike.objectives import Outcome


@dataclass(frozen=True)
class Verified:
    """One combination, simulated: whether every seed of every scenario met everything, and the worst outcome."""

    choice: Mapping[str, Setting]
    met: bool
    worst: Outcome | None
    scenario: str
    seed: int
    blamed: str
    """The class whose tasks are worst off in it."""

    @property
    def strain(self) -> float:
        """How far the worst outcome is beyond its limit; see `case.strain`."""
        return strain(self.worst) if self.worst is not None else math.inf


class Check:
    """Simulates combinations, and remembers what it has done."""

    def __init__(self, cases: Mapping[str, Case], simulate: Simulate, seeds: int) -> None:
        self._cases = cases
        self._simulate = simulate
        self._seeds = seeds
        self.done: list[Verified] = []

    def __call__(self, choice: Mapping[str, Setting]) -> Verified:
        """Return what a choice comes to."""
        known = next((one for one in self.done if one.choice == choice), None)
        if known is None:
            known = self._verify(choice)
            self.done.append(known)
        return known

    def _verify(self, choice: Mapping[str, Setting]) -> Verified:
        """Stop at the first seed that misses something: it is not the one."""
        last: Verified | None = None
        for name, case in self._cases.items():
            plant = case.plant
            for worker_class, setting in choice.items():
                plant = applied(plant, worker_class, setting)
            for seed in range(case.seed, case.seed + self._seeds):
                found = judge(replace(case.on(plant), seed=seed), self._simulate)
                place = critical(found.outcomes)
                worst = None if place is None else found.outcome(place)
                last = Verified(choice, found.met, worst, name, seed, _worst_off(case.on(plant), found))
                if not found.met:
                    return last
        assert last is not None
        return last


def _worst_off(case: Case, judgement: Judgement) -> str:
    """Return the class with the largest share of its tasks undone or late, by the strictest limit stated in seconds."""
    limits = [one.parameters["seconds"] for one in case.objectives if one.name == "completed_within"]
    trace, load = judgement.trace, case.offered.load
    took = np.nan_to_num(trace.done - trace.first_attempt, nan=np.inf)
    limit = (
        min(limits) if limits else float(np.percentile(took[np.isfinite(took)], 95)) if np.isfinite(took).any() else 0
    )
    shares = {}
    for worker in case.plant.classes:
        mine = np.array([task.queue in worker.queues for task in load.tasks], dtype=bool)[load.task]
        if mine.any() and worker.scaler is not None:
            shares[worker.name] = float((took[mine] > limit).mean())
    return max(shares, key=lambda name: shares[name])
