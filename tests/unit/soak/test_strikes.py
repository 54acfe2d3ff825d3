"""Which fault comes when, and that it does."""

from __future__ import annotations

import random

import pytest

from harness.errors import InputError
from harness.soak.strikes import EVERY_TASKS, NAMES, chosen, strikes
from harness.soak.striking import Striker


def test_a_million_tasks_meet_every_fault_before_any_comes_twice() -> None:
    found = strikes(1_000_000, chosen(()), rng=random.Random(1))
    assert len(found) == 1_000_000 // EVERY_TASKS
    assert {one.fault.name for one in found[: len(NAMES)]} == set(NAMES)
    places = [one.at_task for one in found]
    assert places == sorted(places)
    assert places[0] > 0
    assert places[-1] < 1_000_000


def test_a_small_soak_meets_one_and_one_without_faults_none() -> None:
    assert [one.at_task for one in strikes(2000, chosen(["kill-workers"]), rng=random.Random(1))] == [1000]
    assert strikes(2000, (), rng=random.Random(1)) == ()


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(InputError, match="no such fault"):
        chosen(["earthquake"])


class Injector:
    def __init__(self) -> None:
        self.ended = False

    def begin(self) -> str:
        return "hit"

    def again(self) -> str:
        return "hit again"

    def over(self) -> bool:
        return False

    def end(self) -> str:
        self.ended = True
        return "back"


def test_a_strike_comes_at_its_task_and_the_next_waits_for_its_end() -> None:
    noted: list[tuple[str, str]] = []
    plan = strikes(150_000, chosen(["stop-worker"]), rng=random.Random(1))
    injector = Injector()
    striker = Striker(plan, {"stop-worker": injector}, record=lambda fault, what, _: noted.append((fault, what)))
    striker.tick(plan[0].at_task - 1, 0.0)
    assert noted == []
    striker.tick(plan[1].at_task, 1.0)
    assert striker.fault == "stop-worker"
    assert noted == [("stop-worker", "begins")]
    striker.tick(plan[1].at_task, 2.5)  # it lasts for a second
    assert noted[-1] == ("stop-worker", "ends")
    striker.tick(plan[1].at_task, 3.0)
    assert noted[-1] == ("stop-worker", "begins")


def test_closing_undoes_what_is_on() -> None:
    injector = Injector()
    plan = strikes(2000, chosen(["freeze-worker"]), rng=random.Random(1))
    striker = Striker(plan, {"freeze-worker": injector}, record=lambda *_: None)
    striker.tick(2000, 0.0)
    striker.close()
    assert injector.ended
