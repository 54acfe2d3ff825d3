"""A case as the coarse model sees it: one class alone, its objectives, its cost. Pure but for the model it is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.planning.case import Case
from harness.simulation.fluid_model import Model
from harness.simulation.fluid_outcome import Outcome as Coarse
from harness.simulation.fluid_outcome import Times
from harness.simulation.fluid_plant import Layout, lay_out
from harness.simulation.model import Load, Plant
from harness.spike.arrivals import PhaseSpan
from harness.spike.objectives import KINDS, Objective

STEP_SECONDS = 1.0
TAIL_STEP_SECONDS = 15.0
TAIL_LIMIT_SECONDS = 6 * 3600.0
"""After a scenario replicas take their time to go; by then they are at their minimum."""


@dataclass(frozen=True)
class Told:
    """What the coarse model says of an objective; `strain` is 1 at its limit, more is missed."""

    objective: Objective
    measured: float
    strain: float

    @property
    def met(self) -> bool:
        """Whether it is met."""
        return self.strain <= 1.0


@dataclass(frozen=True)
class Question:
    """One class's part of a case, laid out for the coarse model."""

    case: Case
    plant: Plant  # of the class alone
    fine: Layout
    tail: Layout

    @property
    def offered(self) -> int:
        """Tasks of the class."""
        return self.fine.offered


def question(case: Case, worker_class: str) -> Question:
    """Return the part of a case that one class has to do with."""
    plant, load = alone(case.plant, case.offered.load, worker_class)
    fine = lay_out(plant, load, step_seconds=STEP_SECONDS, limit_seconds=case.limit_seconds)
    tail = lay_out(plant, load, step_seconds=TAIL_STEP_SECONDS, limit_seconds=TAIL_LIMIT_SECONDS)
    return Question(case, plant, fine, tail)


def alone(plant: Plant, load: Load, worker_class: str) -> tuple[Plant, Load]:
    """Return one class, its queues and what is offered to them."""
    worker = next(one for one in plant.classes if one.name == worker_class)
    mine = np.array([task.queue in worker.queues for task in load.tasks], dtype=bool)[load.task]
    queues = tuple(queue for queue in plant.queues if queue.name in worker.queues)
    tasks = [task for task in load.tasks if task.queue in worker.queues]
    number = {task.name: index for index, task in enumerate(tasks)}
    rows = np.array([number.get(task.name, 0) for task in load.tasks], np.int32)
    return (
        replace(plant, classes=(worker,), queues=queues),
        Load(tasks=tuple(tasks), due_seconds=load.due_seconds[mine], task=rows[load.task[mine]]),
    )


def told(question: Question, plant: Plant, model: Model) -> tuple[tuple[Told, ...], Coarse]:
    """Run a class's part on a plant of it and measure each objective on its own tasks."""
    outcome = model.foretell(plant, question.fine)
    everything = outcome.times()
    spans = {span.name: span for span in question.case.offered.plan.phases}
    found = [_told(one, outcome, everything, spans) for one in question.case.objectives]
    return (*found, _limited(Objective("in_flight", {"max": 0}), _whole(outcome.undone))), outcome


def tail_pod_seconds(question: Question, plant: Plant, model: Model) -> float:
    """Return the pod-seconds above the minimum from the load's start until they are gone."""
    outcome = model.foretell(plant, question.tail, stop_when_quiet=True)
    worker = plant.classes[0]
    least = worker.scaler.hpa.min_replicas if worker.scaler else worker.replicas
    return max(0.0, outcome.pod_seconds()[worker.name] - least * outcome.end_seconds)


def _told(objective: Objective, outcome: Coarse, everything: Times, spans: Mapping[str, PhaseSpan]) -> Told:
    measure = _MEASURES.get(objective.name)
    if measure is None:
        return _limited(objective, 0.0)  # what the coarse model cannot break: losses, duplicates, contradictions
    return _limited(objective, measure(outcome, everything, objective.parameters, spans))


def _limited(objective: Objective, measured: float) -> Told:
    kind = KINDS[objective.name]
    limit = float(objective.parameters[kind.limit])
    if kind.at_most:
        strain = measured / limit if limit > 0 else 1.0 + measured
    else:
        short, allowed = 1.0 - measured, 1.0 - limit
        strain = short / allowed if allowed > 0 else 1.0 + short
    return Told(objective, measured, strain)


def _whole(tasks: float) -> float:
    return float(math.floor(tasks + 0.5))


Measure = Callable[[Coarse, Times, Mapping[str, Any], Mapping[str, PhaseSpan]], float]


def _of_phase(outcome: Coarse, everything: Times, name: str | None, spans: Mapping[str, PhaseSpan]) -> Times:
    return everything if name is None else outcome.times(spans[name].start_seconds, spans[name].end_seconds)


def _percentile(percent: float) -> Measure:
    def measure(outcome: Coarse, everything: Times, given: Mapping[str, Any], spans: Mapping[str, PhaseSpan]) -> float:
        times = _of_phase(outcome, everything, given.get("phase"), spans)
        return times.percentile(percent) if times.offered > 0 else 0.0

    return measure


def _ratio(percent: float) -> Measure:
    def measure(outcome: Coarse, everything: Times, given: Mapping[str, Any], spans: Mapping[str, PhaseSpan]) -> float:
        phase, baseline = (_of_phase(outcome, everything, given[key], spans) for key in ("phase", "baseline"))
        if phase.offered <= 0 or baseline.offered <= 0:
            return 0.0
        return phase.percentile(percent) / baseline.percentile(percent)

    return measure


def _share(done: Callable[[Coarse], float]) -> Measure:
    return lambda outcome, _, __, ___: done(outcome) / outcome.offered if outcome.offered else 1.0


_MEASURES: Mapping[str, Measure] = {
    "in_flight": lambda outcome, _, __, ___: _whole(outcome.undone),
    "refused_finally": lambda outcome, _, __, ___: _whole(outcome.given_up),
    "expired": lambda outcome, _, __, ___: _whole(outcome.expired),
    "dead_lettered": lambda outcome, _, __, ___: _whole(outcome.expired),
    "drain_seconds": lambda outcome, _, __, ___: math.inf if (s := outcome.drain_seconds()) is None else s,
    "completed_within": lambda _, everything, given, ___: everything.within(given["seconds"]),
    "accepted_share": _share(lambda outcome: outcome.offered - outcome.given_up),
    "completed_share": _share(lambda outcome: outcome.done),
    "p50_latency_seconds": _percentile(50.0),
    "p95_latency_seconds": _percentile(95.0),
    "p99_latency_seconds": _percentile(99.0),
    "p95_latency_ratio": _ratio(95.0),
    "first_added_ready_seconds": lambda outcome, _, __, ___: (
        math.inf if (s := outcome.first_added_ready_seconds()) is None else s
    ),
}


def worst(all_told: Sequence[Told]) -> Told:
    """Return the objective nearest to its limit, or farthest beyond it."""
    return max(all_told, key=lambda one: one.strain)
