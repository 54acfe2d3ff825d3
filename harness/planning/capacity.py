"""Whether values hold a rate or a scenario, as a check of `harness validate`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.chart import render
from harness.chart.manifests import Manifest
from harness.chart.problems import WARNING, Problem
from harness.chart.validate import CAPACITY, PASSED, Check
from harness.errors import InputError
from harness.planning import planner
from harness.planning.binding import Binding, binding
from harness.planning.case import Simulate, judge
from harness.planning.figures import Figures
from harness.planning.place import Place
from harness.spike.arrivals import Topology, slots_at_most
from harness.spike.objectives import Outcome
from harness.spike.report import source_words
from harness.spike.scenario import Scenario

FULL_SHARE = 0.8
"""Slots busier than this leave waiting times that grow with every chance crowd."""


@dataclass(frozen=True)
class Rate:
    """A steady load on a class: tasks a second, and how long each takes; None: as the class says it expects."""

    worker_class: str
    per_second: float
    service_seconds: float | None = None


def parse_rate(text: str) -> Rate:
    """Read CLASS=PER_SECOND or CLASS=PER_SECOND:SECONDS. Raises InputError."""
    name, _, figures = text.partition("=")
    rate, _, service = figures.partition(":")
    try:
        found = Rate(name.strip(), float(rate), float(service) if service else None)
    except ValueError as error:
        raise InputError(
            f"--rate {text!r}: expected CLASS=PER_SECOND or CLASS=PER_SECOND:SECONDS, as io=100:2"
        ) from error
    service_seconds = 1.0 if found.service_seconds is None else found.service_seconds
    if not (found.worker_class and 0 < found.per_second < math.inf and 0 < service_seconds < math.inf):
        raise InputError(f"--rate {text!r}: class, rate and seconds must be given and above 0, as io=100:2")
    return found


def check_rates(rates: Sequence[Rate], manifests: Sequence[Manifest]) -> Check:
    """Say which class has not the slots at its maximum for a rate. Raises InputError for a class that is not there."""
    topology = render.topology(manifests)
    problems = [problem for rate in rates for problem in _rate(rate, topology)]
    told = ", ".join(f"{rate.worker_class} {rate.per_second:g}/s" for rate in rates)
    return Check(CAPACITY, PASSED, f"{told} on all slots at maximum replicas", tuple(problems))


def _rate(rate: Rate, topology: Topology) -> list[Problem]:
    settings: Mapping[str, Any] | None = topology["classes"].get(rate.worker_class)
    if settings is None:
        raise InputError(f"--rate: no worker class {rate.worker_class!r}; there are: {', '.join(topology['classes'])}")
    service = rate.service_seconds or settings.get("expected_task_seconds")
    path = f"workers.{rate.worker_class}"
    if service is None:
        raise InputError(
            f"--rate: {path}.expectedTaskSeconds is not set; say how long a task takes, "
            f"as {rate.worker_class}={rate.per_second:g}:2"
        )
    slots, needed = slots_at_most(rate.worker_class, topology), rate.per_second * service
    if needed <= FULL_SHARE * slots:
        return []
    verb = "are more than" if needed > slots else f"are {needed / slots:.0%} of"
    fix = f"raise {path}.replicas.max to {_pods(needed, int(settings['concurrency']))} or {path}.concurrency"
    told = (
        f"{rate.per_second:g} tasks a second of {service:g} s keep {needed:,.0f} slots busy, which {verb} its {slots:,}"
    )
    return [Problem(f"{path}.replicas.max", told, fix, severity=WARNING, rule=CAPACITY)]


def _pods(slots: float, concurrency: int) -> int:
    return -int(-slots // (FULL_SHARE * concurrency))


def check_scenario(
    scenario: Scenario, manifests: Sequence[Manifest], *, simulate: Simulate, place: Place, figures: Figures
) -> Check:
    """Foretell a scenario and name each objective it would miss, with what holds it back. Raises InputError."""
    topology = render.topology(manifests)
    offer = planner.of_scenario(scenario, topology, run_id=CAPACITY)
    case = planner.case_of(offer, manifests, topology, place=place, figures=figures)
    judged = judge(case, simulate)
    missed = [outcome for outcome in judged.outcomes if not outcome.passed]
    found = binding(case, simulate, base=judged) if missed else None
    subject = f"{scenario.name} foretold on {place.name}, figures of workers {source_words(figures.source)}"
    return Check(CAPACITY, PASSED, subject, tuple(_missed(scenario, outcome, found) for outcome in missed))


def _missed(scenario: Scenario, outcome: Outcome, found: Binding | None) -> Problem:
    why = f"; binds: {found.constraints[0].text}" if found and found.constraints else ""
    reason = f", {outcome.reason}" if outcome.reason else ""
    measured = f"{outcome.measured_words}{reason} ({outcome.target} wanted)"
    fix = f"`harness plan {scenario.name}` with the same values looks for the smallest change that meets it"
    message = f"{outcome.title.lower()} would be {measured}{why}"
    return Problem(scenario.name, message, fix, severity=WARNING, rule=CAPACITY)
