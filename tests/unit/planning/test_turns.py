"""How long a slot is empty between two tasks."""

from __future__ import annotations

import pytest

from harness.planning.turns import LEAST_TURNS, turns, typical


def test_a_slot_is_empty_from_a_tasks_end_until_the_next_is_received() -> None:
    events = [(0.0, True), (0.0, True), (3.0, False), (3.02, True), (3.1, False), (3.15, True)]
    assert turns(events, 2) == pytest.approx([0.02, 0.05])


def test_slots_that_become_empty_at_once_are_filled_in_turn() -> None:
    events = [(0.0, True), (0.0, True), (3.0, False), (3.01, False), (3.02, True), (3.05, True)]
    assert turns(events, 2) == pytest.approx([0.02, 0.04])


@pytest.mark.parametrize(
    "events",
    [
        [(0.0, True), (3.0, False), (3.02, True)],  # the other slot was empty anyway
        [(0.0, True), (0.0, True), (3.0, False), (9.0, True)],  # nothing waited
        [],
    ],
)
def test_a_slot_that_had_nothing_to_do_is_no_turn(events: list[tuple[float, bool]]) -> None:
    assert turns(events, 2) == []


def test_a_few_turns_say_nothing_of_the_usual_one() -> None:
    assert typical([0.02] * LEAST_TURNS) == pytest.approx(0.02)
    assert typical([0.02] * (LEAST_TURNS - 1)) is None
