"""Looking for the smallest change, on a simulation whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.planning.binding import binding, full_share, lifts
from harness.planning.case import Case, badness, critical, strain
from harness.planning.changes import changes, knobs
from harness.planning.engine import simulate
from harness.simulation.model import Load, Plant, Trace
from harness.spike.objectives import Objective, Outcome
from tests.unit.planning.cases import case, step, trace


def most(plant: Plant, name: str = "io") -> int:
    scaler = next(one for one in plant.classes if one.name == name).scaler
    assert scaler is not None
    return scaler.hpa.max_replicas


def by_maximum(plant: Plant, load: Load, *, rng: np.random.Generator, limit_seconds: float) -> Trace:
    """Everything is done after 1000 s divided by io's most pods."""
    return trace(plant, load, np.full(len(load.due_seconds), 1000.0 / most(plant)))


def never(plant: Plant, load: Load, *, rng: np.random.Generator, limit_seconds: float) -> Trace:
    return trace(plant, load, np.full(len(load.due_seconds), 1000.0))


def asked(limit_seconds: float, scenario: str = "ai-questions") -> Case:
    return replace(case(scenario), objectives=(Objective("drain_seconds", {"max": limit_seconds}),))


def test_the_smallest_sufficient_maximum_is_found() -> None:
    change, other = changes(asked(130), by_maximum)
    assert (change.key, change.subject) == ("max-replicas", "io")
    assert change.text == "max replicas of io 5 -> 8"
    assert change.relative == pytest.approx(1.6)
    assert other.key == "min-replicas", "a minimum above the maximum raises it, and is the larger change"


def test_where_no_figure_helps_none_is_named() -> None:
    assert changes(asked(130), never) == ()


def test_figures_of_all_classes_are_turned_together_where_several_have_work() -> None:
    subjects = {knob.key for knob in knobs(asked(1, "mixed-surge"))}
    assert {"all-max", "all-max-fast", "all-min-max"} <= subjects
    assert not {knob.key for knob in knobs(asked(1))} & {"all-max", "all-max-fast", "all-min-max"}


def test_every_knob_changes_the_plant_at_each_end() -> None:
    question = asked(1, "mixed-surge")
    for knob in knobs(question):
        assert knob.apply(1) != question.plant, knob.key
        assert knob.apply(knob.top) != knob.apply(1) or knob.top == 1, knob.key
        assert knob.relative(knob.top) >= knob.relative(1) > 0, knob.key
        assert knob.told(1)


def test_the_constraint_whose_absence_helps_most_binds() -> None:
    found = binding(asked(130), by_maximum)
    assert (found.objective, found.measured) == ("Time until the backlog was gone", "200 s")
    (only,) = found.constraints
    assert (only.key, only.subject, only.without) == ("max-replicas", "io", "20 s")
    assert only.gain == pytest.approx(0.9)
    assert only.text == "max 5 replicas of io"


def test_a_cpu_limit_that_is_lifted_holds_no_process_of_a_pod() -> None:
    question = asked(1, "spike-10x")
    limited = tuple(replace(one, cpu_cores=0.5, cpu_limit_cores=0.5) for one in question.plant.classes)
    question = replace(question, plant=replace(question.plant, classes=limited))
    found = lifts(question, question.simulated(simulate))
    (lift,) = [one for one in found if (one.key, one.subject) == ("cpu-limit", "cpu")]
    (cpu,) = [one for one in lift.plant.classes if one.name == "cpu"]
    assert (cpu.cpu_cores, cpu.cpu_limit_cores) == (64.0, None)


def test_nothing_binds_where_nothing_that_is_lifted_helps() -> None:
    assert binding(asked(130), never).constraints == ()


def test_where_nothing_takes_time_the_backlog_is_looked_at() -> None:
    question = replace(case("ai-questions"), objectives=(Objective("lost", {"max": 0}),))
    assert binding(question, by_maximum).objective == "Time until the backlog was gone"


def texts(question: Case, told: Trace) -> dict[str, str]:
    return {f"{lift.key} {lift.subject}".strip(): lift.text for lift in lifts(question, told)}


def test_constraints_are_told_by_what_the_trace_shows() -> None:
    question = case("email-campaign")
    load = question.offered.load
    refusals = np.zeros(len(load.due_seconds), dtype=np.int32)
    refusals[:3862] = 1
    steps = (step(question.plant, "io", 14.5, 1, 4), step(question.plant, "io", 74.5, 4, 5))
    told = trace(question.plant, load, np.full(len(refusals), 80.0), refusals=refusals, steps=steps)
    found = texts(question, told)
    assert found["policy io"] == ("pod 5 of io only asked for at 74.5 s: policy +3 pods/60 s or +100 %/120 s")
    assert found["max-replicas io"] == "max 5 replicas of io, asked for at 74.5 s"
    assert found["boot io"] == "boot 2 s of io: pods asked for at 14.5 s take tasks at 16.5 s"
    assert found["queue-limit io"] == "limit 5,000 of queue io, 10,000 offered: 3,862 were refused at first"
    assert found["sync"].startswith("the autoscaler looks every 15 s, first 14.5 s")
    assert not [key for key in found if key.endswith((" cpu", " mixed"))], "they have no work"


def test_a_cpu_trigger_that_cannot_fire_is_told_with_its_share() -> None:
    question = case("email-slow", "prod")
    resources = replace_metrics(question)
    told = trace(question.plant, question.offered.load, np.full(10_000, 400.0))
    text = texts(resources, told)["trigger io"]
    assert text.startswith("CPU trigger of io does not fire: a full pod uses ")
    assert text.endswith(" of its request, 50 % is the target")
    io = next(one for one in question.plant.classes if one.name == "io")
    share = full_share(io, question.offered.load)
    assert share == pytest.approx(200 * 0.0013 / 8.03 / 0.2 + io.idle_cores / 0.2, rel=0.01)


def replace_metrics(question: Case) -> Case:
    """The production values scale on CPU and memory: both are resources."""
    io = next(one for one in question.plant.classes if one.name == "io")
    assert io.scaler is not None
    assert {metric.name for metric in io.scaler.hpa.metrics} == {"cpu", "memory"}
    return question


def outcome(name: str, measured: float | None, limit: float, *, passed: bool) -> Outcome:
    return Outcome(name, name, "", limit, measured, "", passed=passed)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([("lost", 0, 0, True), ("drain_seconds", 42, 180, True)], 1),
        ([("drain_seconds", 42, 180, True), ("completed_within", 0.99, 0.999, False)], 1),
        ([("drain_seconds", 400, 180, False), ("p95_latency_ratio", 3.9, 2, False)], 0),
        ([("drain_seconds", None, 180, False), ("p95_latency_ratio", 3.9, 2, False)], 0),
        ([("lost", 0, 0, True)], None),
    ],
)
def test_the_objective_that_is_worst_off_is_looked_at(outcomes: list[Any], expected: int | None) -> None:
    assert critical([outcome(name, measured, limit, passed=ok) for name, measured, limit, ok in outcomes]) == expected


def test_strain_is_1_at_the_limit_and_badness_falls_as_it_gets_better() -> None:
    at_limit = outcome("completed_within", 0.999, 0.999, passed=True)
    better = outcome("completed_within", 0.9995, 0.999, passed=True)
    assert strain(at_limit) == pytest.approx(1.0)
    assert strain(better) == pytest.approx(0.5)
    assert badness(better) < badness(at_limit)
