"""Objectives: read strictly, measured honestly."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness.spike.ledger import Effect, Ledger, Offer, OfferEvent, account
from harness.spike.objectives import KINDS, Measurements, Objective, Outcome, evaluate, parse, standing_rules

START = 1000.0


def ledger(*tasks: tuple[float, float | None, str]) -> Ledger:
    """Tasks by (first attempt, effect, phase), in seconds from the start; all accepted."""
    offers, effects = [], []
    for number, (first, done, phase) in enumerate(tasks):
        key = f"id-{number}"
        for event in (OfferEvent.OFFERED, OfferEvent.ACCEPTED):
            offers.append(Offer(START + first, key, event, "send", "io", phase))
        effects += [] if done is None else [Effect(START + done, key, "mail")]
    return account(offers=offers, effects=effects, dead_letters=(), in_queue=(), expected_kinds={"send": "mail"})


def measure(name: str, book: Ledger, *, last_due: float = 0.0, **parameters) -> Outcome:
    measurements = Measurements(book, {row.id for row in book.records}, START, START + last_due)
    (outcome,) = evaluate([Objective(name, parameters)], measurements)
    return outcome


def test_lost() -> None:
    assert measure("lost", ledger((0, 1, "a")), max=0).passed
    outcome = measure("lost", ledger((0, 1, "a"), (0, None, "a")), max=0)
    assert (outcome.passed, outcome.measured, outcome.measured_words) == (False, 1, "1")


def test_drain_is_from_the_last_due_time_to_the_last_effect() -> None:
    book = ledger((0, 5, "a"), (300, 320, "a"))
    assert measure("drain_seconds", book, last_due=300, max=20).passed
    outcome = measure("drain_seconds", book, last_due=299.0, max=20)
    assert (outcome.measured, outcome.measured_words, outcome.target) == (21.0, "21 s", "at most 20 s")
    assert not outcome.passed


def test_a_backlog_that_never_drained_is_a_miss_with_the_reason() -> None:
    outcome = measure("drain_seconds", ledger((0, 5, "a"), (0, None, "a")), max=1e9)
    assert (outcome.passed, outcome.measured, outcome.measured_words) == (False, None, "not measured")
    assert "1 lost" in outcome.reason


def test_completed_within_counts_all_that_were_offered() -> None:
    book = ledger(*[(0, 10, "a")] * 998, (0, 61, "a"), (0, None, "a"))
    outcome = measure("completed_within", book, seconds=60, min_share=0.999)
    assert (outcome.passed, outcome.measured, outcome.measured_words) == (False, 0.998, "99.8 %")
    assert measure("completed_within", book, seconds=61, min_share=0.999).passed


def test_a_figure_just_beyond_the_limit_does_not_read_like_it() -> None:
    outcome = measure("drain_seconds", ledger((0, 180.04, "a")), max=180)
    assert (outcome.passed, outcome.target, outcome.measured_words) == (False, "at most 180 s", "180.0400 s")


def test_p95_ratio_compares_two_phases() -> None:
    book = ledger(*[(0, 2, "normal")] * 20, *[(100, 103, "surge")] * 19, (100, 190, "surge"))
    outcome = measure("p95_latency_ratio", book, phase="surge", baseline="normal", max=2)
    assert (outcome.passed, outcome.measured, outcome.measured_words) == (True, 1.5, "1.5 times")


def test_undone_tasks_are_endless_not_left_out() -> None:
    book = ledger(*[(0, 2, "normal")] * 20, *[(100, 101, "surge")] * 18, (0, None, "surge"), (0, None, "surge"))
    outcome = measure("p95_latency_ratio", book, phase="surge", baseline="normal", max=2)
    assert not outcome.passed
    assert "2 of 20 tasks of phase 'surge' were never done" in outcome.reason


@pytest.mark.parametrize(
    ("name", "parameters", "reason"),
    [
        ("p95_latency_ratio", {"phase": "surge", "baseline": "calm", "max": 2}, "phase 'calm' offered no task"),
        ("p95_latency_seconds", {"phase": "calm", "max": 2}, "phase 'calm' offered no task"),
        ("first_added_ready_seconds", {"max": 60}, "no added pod became ready"),
    ],
)
def test_what_was_not_measured_never_passes(name: str, parameters: dict, reason: str) -> None:
    outcome = measure(name, ledger((0, 1, "surge")), **parameters)
    assert (outcome.passed, outcome.reason) == (False, reason)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_an_empty_run_passes_nothing_that_asks_for_something_done(name: str) -> None:
    kind = KINDS[name]
    parameters = {kind.limit: 1, **{key: "a" if kind_of is str else 1 for key, kind_of in kind.required.items()}}
    outcome = measure(name, ledger(), **parameters)
    assert outcome.passed == (kind.unit == "tasks")
    assert outcome.passed or outcome.reason


def test_standing_rules_hold_for_every_run() -> None:
    book = ledger((0, 1, "a"), (0, None, "a"))
    measurements = Measurements(book, {"id-0", "id-1", "id-2"}, START, START)
    failed = {outcome.name for outcome in standing_rules([], measurements) if not outcome.passed}
    assert failed == {"lost", "not_as_planned"}
    stated = [Objective("lost", {"max": 1})]
    assert "lost" not in {outcome.name for outcome in standing_rules(stated, measurements)}


def test_objectives_are_read_from_a_scenario() -> None:
    found = parse(
        [{"name": "lost", "max": 0}, {"name": "completed_within", "seconds": 60, "min_share": 0.999}], source="x.yaml"
    )
    assert found == (Objective("lost", {"max": 0}), Objective("completed_within", {"seconds": 60, "min_share": 0.999}))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"name": "speed", "max": 1}, r"x.yaml: objectives\[0\]: unknown objective 'speed'; known: accepted_share"),
        ({"name": "lost"}, r"objectives\[0\]: lost needs 'max'"),
        ({"name": "lost", "max": "none"}, r"lost.max is 'none', expected a number"),
        ({"name": "lost", "max": True}, r"lost.max is True, expected a number"),
        ({"name": "lost", "max": -1}, r"lost.max is -1, expected a number that is not negative"),
        ({"name": "lost", "max": float("nan")}, r"lost.max is nan"),
        ({"name": "lost", "max": 0, "min": 0}, r"lost has no parameter 'min'; it takes max"),
        ({"name": "p95_latency_ratio", "max": 2, "phase": 3, "baseline": "a"}, r"phase is 3, expected a string"),
        ({"max": 0}, r"expected a mapping with a name"),
        ("lost", r"expected a mapping with a name"),
    ],
)
def test_bad_objectives_are_refused(item, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse([item], source="x.yaml")


def test_an_outcome_reads_back() -> None:
    outcome = measure("lost", ledger((0, 1, "a")), max=0)
    assert Outcome.from_dict(outcome.as_dict()) == outcome
