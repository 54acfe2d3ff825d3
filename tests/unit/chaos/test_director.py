"""Faults at their times, one after the other, undone whatever happens."""

from __future__ import annotations

import random

import pytest

from harness.chaos.director import OVERRUN_SECONDS, Director
from harness.chaos.faults import CATALOGUE, Fault
from harness.chaos.schedule import Injection, schedule
from harness.errors import HarnessError

START = 1000.0


class Doing:
    """Does nothing, and says so."""

    def __init__(self, *, ends_after: int | None = None, cannot_end: bool = False) -> None:
        self.turns = 0
        self._ends_after = ends_after
        self._cannot_end = cannot_end

    def begin(self) -> str:
        return "begun"

    def again(self) -> str:
        return "again"

    def over(self) -> bool:
        self.turns += 1
        return self._ends_after is not None and self.turns >= self._ends_after

    def end(self) -> str:
        if self._cannot_end:
            raise HarnessError("it does not come back")
        return "undone"


def play(faults: list[Fault], *doing: Doing, seconds: int) -> tuple[list[tuple[float, str, str]], Director]:
    now, seen = START, []
    injections = schedule(faults, rng=random.Random(1))
    director = Director(
        injections,
        {fault.name: one for fault, one in zip(faults, doing, strict=True)},
        record=lambda fault, what, _: seen.append((now, fault, what)),
    )
    director.start(START)
    for second in range(seconds):
        now = START + second
        director.tick(now)
    return seen, director


def test_a_fault_begins_strikes_again_and_ends_at_its_times() -> None:
    fault = CATALOGUE["kill-workers"]
    (injection,) = schedule([fault], rng=random.Random(1))
    seen, director = play([fault], Doing(), seconds=60)
    begins = START + injection.start_seconds
    assert seen == [
        (begins, fault.name, "begins"),
        (begins + 5, fault.name, "strikes"),
        (begins + 10, fault.name, "strikes"),
        (begins + 15, fault.name, "ends"),
    ]
    assert director.done


def test_what_ends_by_itself_ends_before_its_time() -> None:
    fault = CATALOGUE["restart-broker"]
    seen, director = play([fault], Doing(ends_after=4), seconds=60)
    assert [what for _, _, what in seen] == ["begins", "ends"]
    assert seen[1][0] - seen[0][0] == 4
    assert director.done


def test_nothing_happens_before_the_load_begins() -> None:
    seen: list[str] = []
    injections: tuple[Injection, ...] = schedule([CATALOGUE["poison"]], rng=random.Random(1))
    director = Director(injections, {"poison": Doing()}, record=lambda *what: seen.append(what[1]))
    director.tick(START + 10_000)
    assert seen == []
    assert not director.done


def test_a_fault_that_is_on_is_undone_when_the_run_ends_early() -> None:
    fault = CATALOGUE["full-queue"]
    seen, director = play([fault], Doing(), seconds=20)
    assert [what for _, _, what in seen] == ["begins"]
    director.close()
    assert [what for _, _, what in seen] == ["begins", "ends"]


def test_a_fault_that_cannot_be_undone_ends_the_run_but_not_its_clean_up() -> None:
    fault = CATALOGUE["stop-worker"]
    with pytest.raises(HarnessError, match="does not come back"):
        play([fault], Doing(cannot_end=True), seconds=60)
    _, director = play([fault], Doing(cannot_end=True), seconds=14)
    director.close()


def test_what_ends_by_itself_may_take_longer_and_what_follows_waits() -> None:
    slow, stubborn = CATALOGUE["restart-broker"], CATALOGUE["kill-broker"]
    seen, director = play([slow, stubborn], Doing(ends_after=50), Doing(), seconds=300)
    assert [what for _, _, what in seen] == ["begins", "ends"] * 2
    lasted = {fault: end - begin for (begin, fault, _), (end, _, _) in zip(seen[::2], seen[1::2], strict=True)}
    assert lasted == {slow.name: 50, stubborn.name: stubborn.seconds + OVERRUN_SECONDS}
    assert director.done
