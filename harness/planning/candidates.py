"""What each class could be: every setting of its grid, with its cost and worst outcome, by the coarse model.

Pure but for the model that is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import InputError
from harness.planning import coarse
from harness.planning.case import Case
from harness.planning.coarse import Question, Told
from harness.planning.settings import Bounds, Setting, applied, grid, setting_of
from harness.simulation.cost import SECONDS_PER_HOUR, SECONDS_PER_MONTH, Pod, Prices
from harness.simulation.fluid_model import Model
from harness.simulation.model import Plant, WorkerClass

CURVE_STRAIN = 20.0
"""Candidates farther beyond a limit are not priced."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One class's setting, as the coarse model sees it. `cost` is money a month, `latency_seconds` the goal's."""

    setting: Setting
    changes: tuple[str, ...]
    cost: float
    worst: Told
    latency_seconds: float

    @property
    def order(self) -> tuple[float, int]:
        """Cheapest first, then fewest changes."""
        return (round(self.cost, 6), len(self.changes))


@dataclass(frozen=True, kw_only=True)
class ClassSearch:
    """All candidates of one class, cheapest first."""

    name: str
    given: Setting
    pod: Pod
    candidates: tuple[Candidate, ...]

    @property
    def feasible(self) -> tuple[Candidate, ...]:
        """Those that meet every objective in the coarse model."""
        return tuple(one for one in self.candidates if one.worst.met)

    @property
    def nearest(self) -> Candidate:
        """The one that is least far beyond a limit."""
        return min(self.candidates, key=lambda one: (one.worst.strain, *one.order))


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a tuner is asked. `cycles` is how often a month each scenario comes; `percent` what the curve shows.

    `room` is what all pods together may request at their maxima, None: no matter.
    """

    prices: Prices
    cycles: float
    seeds: int
    percent: float
    bounds: Bounds
    room: Pod | None = None


def tunable(plant: Plant) -> list[WorkerClass]:
    """Return the classes that something scales. Raises InputError where there is none."""
    found = [worker for worker in plant.classes if worker.scaler is not None]
    if not found:
        raise InputError("no class of these values is scaled (workerDefaults.scaler: none); choose hpa or keda")
    return found


def search_class(cases: Mapping[str, Case], worker: WorkerClass, model: Model, asked: Asked) -> ClassSearch:
    """Try every setting of a class's grid on the coarse model."""
    questions = [coarse.question(case, worker.name) for case in cases.values()]
    plant, given = questions[0].plant, setting_of(questions[0].plant, worker)
    pod = pod_of(worker)
    most = max(question.offered for question in questions)
    found = [
        _candidate(questions, applied(plant, worker.name, setting), setting, given, pod, model, asked)
        for setting in grid(worker, given, asked.bounds, offered=most)
    ]
    ordered = tuple(sorted(found, key=lambda one: one.order))
    return ClassSearch(name=worker.name, given=given, pod=pod, candidates=ordered)


def pod_of(worker: WorkerClass) -> Pod:
    """Return what a class's pod requests. Raises InputError where it requests nothing, which cannot be priced."""
    if worker.cpu_request_milli is None or worker.memory_request_milli is None:
        raise InputError(
            f"workers.{worker.name}.resources.requests: cpu or memory is missing; what is paid for is what is requested"
        )
    return Pod(cores=worker.cpu_request_milli / 1000.0, memory_gib=worker.memory_request_milli / 1000.0 / 2.0**30)


def _candidate(
    questions: Sequence[Question], plant: Plant, setting: Setting, given: Setting, pod: Pod, model: Model, asked: Asked
) -> Candidate:
    worst, latency, added = None, 0.0, 0.0
    for question in questions:
        all_told, outcome = coarse.told(question, plant, model)
        hardest = coarse.worst(all_told)
        worst = hardest if worst is None or hardest.strain > worst.strain else worst
        latency = max(latency, outcome.times().percentile(asked.percent))
    assert worst is not None
    if worst.strain <= CURVE_STRAIN:
        added = math.fsum(coarse.tail_pod_seconds(question, plant, model) for question in questions)
    hours = (setting.minimum * SECONDS_PER_MONTH + asked.cycles * added) / SECONDS_PER_HOUR
    return Candidate(
        setting=setting,
        changes=setting.changes(given),
        cost=hours * pod.per_hour(asked.prices),
        worst=worst,
        latency_seconds=latency,
    )


def curve(searches: Sequence[ClassSearch]) -> tuple[tuple[float, float], ...]:
    """Return (seconds, money a month): what it costs to have the tasks of every class done within so many seconds."""
    times = sorted({one.latency_seconds for search in searches for one in search.candidates if _priced(one)})
    found: list[tuple[float, float]] = []
    for seconds in times:
        costs = [
            min(
                (one.cost for one in search.candidates if _priced(one) and one.latency_seconds <= seconds),
                default=math.inf,
            )
            for search in searches
        ]
        total = math.fsum(costs)
        if math.isfinite(total) and (not found or total < found[-1][1] - 1e-6):
            found.append((seconds, total))
    return tuple(found)


def _priced(candidate: Candidate) -> bool:
    return math.isfinite(candidate.latency_seconds) and candidate.worst.strain <= CURVE_STRAIN
