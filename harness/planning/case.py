"""One question to a planner: these workers, this load, these demands. Pure but for the simulation it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from harness.errors import InputError
from harness.planning.foretell import judged
from harness.planning.offered import Offered
from harness.simulation.model import Load, Plant, Trace
from harness.spike.objectives import KINDS, Objective, Outcome


class Simulate(Protocol):
    """Works a load off on a plant; the same generator state gives the same trace."""

    def __call__(self, plant: Plant, load: Load, *, rng: np.random.Generator, limit_seconds: float) -> Trace:
        """Return what happened."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Everything that a foretelling depends on."""

    plant: Plant
    offered: Offered
    objectives: Sequence[Objective]
    limit_seconds: float
    seed: int

    def simulated(self, simulate: Simulate) -> Trace:
        """Return the run of this case; each simulation of it draws the same chances.

        Raises InputError for values that make something that cannot be simulated.
        """
        rng = np.random.default_rng(self.seed)
        try:
            return simulate(self.plant, self.offered.load, rng=rng, limit_seconds=self.limit_seconds)
        except ValueError as error:
            raise InputError(f"this cannot be foretold: {error}") from error

    def looked_at(self, seconds: float) -> Case:
        """Return the same question with another moment of the autoscaler's first look."""
        return self.on(replace(self.plant, clockwork=replace(self.plant.clockwork, first_sync_seconds=seconds)))

    def on(self, plant: Plant) -> Case:
        """Return the same question about other workers."""
        return replace(self, plant=plant)


@dataclass(frozen=True)
class Judgement:
    """A case's outcomes, and its trace."""

    trace: Trace
    outcomes: tuple[Outcome, ...]

    @property
    def met(self) -> bool:
        """Whether every objective and standing rule was met."""
        return all(outcome.passed for outcome in self.outcomes)

    def outcome(self, index: int) -> Outcome:
        """Return one outcome by its place."""
        return self.outcomes[index]


def judge(case: Case, simulate: Simulate) -> Judgement:
    """Simulate a case and measure what it demands."""
    trace = case.simulated(simulate)
    return Judgement(trace, judged(case.plant, case.offered, trace, case.objectives))


DRAIN = Objective("drain_seconds", {"max": float("1e9")})
"""What is looked at where a scenario demands nothing that takes time."""


def critical(outcomes: Sequence[Outcome]) -> int | None:
    """Return the place of the outcome that is worst off against its limit, None where none is a matter of degree.

    Missed ones come first; a count that must be 0 and is 0 says nothing about what holds a run back.
    """
    missed = [(strain(outcome), -at) for at, outcome in enumerate(outcomes) if not outcome.passed]
    met = [
        (strain(outcome), -at)
        for at, outcome in enumerate(outcomes)
        if outcome.passed and KINDS[outcome.name].unit in ("s", "x", "share") and outcome.limit > 0
    ]
    found = missed or met
    return None if not found else -max(found)[1]


def strain(outcome: Outcome) -> float:
    """Return how near an outcome is to its limit: 1 is at it, more is missed, endless was not measured."""
    if outcome.measured is None:
        return float("inf")
    if KINDS[outcome.name].at_most:
        return outcome.measured / outcome.limit if outcome.limit else 1.0 + outcome.measured
    short, allowed = 1 - outcome.measured, 1 - outcome.limit
    return short / allowed if allowed > 0 else 1.0 + short


def badness(outcome: Outcome) -> float:
    """Return a figure that falls as the outcome gets better."""
    if outcome.measured is None:
        return float("inf")
    return outcome.measured if KINDS[outcome.name].at_most else 1.0 - outcome.measured
