"""What an attempt's outcome becomes: a journal line, a statistic, another attempt or none."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from celery_workers import PublishError, QueueFull, Unconfirmed, Unreachable, Unroutable
from harness.spike.dispatch import Dispatcher
from harness.spike.journals import read_offers
from harness.spike.ledger import account
from harness.spike.offering import NoJournal, Offering, PublisherJournal
from harness.spike.tracking import Sighting, Tracker
from tests.unit.spike_load.test_dispatch import arrival, settings


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Publisher:
    """Answers as told, in order; each attempt takes a tenth of a second."""

    def __init__(self, clock: Clock, *answers: Any) -> None:
        self.clock = clock
        self.answers = list(answers)
        self.offered: list[tuple[str, str | None]] = []

    def attempt(self, task: str, *, kwargs: Mapping[str, Any] | None = None, task_id: str | None = None) -> str:
        self.clock.now += 0.1
        self.offered.append((task, task_id))
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return str(task_id)


def error(kind: type[PublishError], reason: str = "full", **more: Any) -> PublishError:
    return kind(reason, task="t", task_id="a", queue="io", **more)


class Run:
    def __init__(self, path: Path, *answers: Any, **changed: float) -> None:
        self.clock = Clock()
        self.publisher = Publisher(self.clock, *answers)
        self.tracker = Tracker()
        self.recorded: list[tuple[str, str, str | None]] = []
        self.path = path
        self.offering = Offering(
            Dispatcher([arrival("a")], settings(**changed), rng=random.Random(1)),
            self.publisher,
            PublisherJournal(path / "publisher-0.jsonl", clock=lambda: 1000 + self.clock.now),
            self.tracker,
            lambda kind, name, seconds, error=None: self.recorded.append((kind, name, error)),
            now=self.clock,
            wall_clock=lambda: 1000 + self.clock.now,
        )

    def go(self) -> Run:
        """Work until nothing is left to do."""
        while not self.offering.dispatcher.tally.settled:
            offer, pause = self.offering.next()
            if offer is None:
                self.clock.now += pause
            else:
                self.offering.make(offer)
        self.offering.end()
        return self

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / "publisher-0.jsonl").read_text().splitlines()]

    def events(self) -> list[tuple[str, int]]:
        return [(line["event"], line["attempt"]) for line in self.lines()]


def test_an_accepted_task(tmp_path: Path) -> None:
    run = Run(tmp_path, "ok").go()
    first, second = run.lines()
    assert first == {
        "t": 1000.0,
        "id": "a",
        "event": "offered",
        "task": "t",
        "queue": "io",
        "phase": "p",
        "attempt": 1,
    }
    assert second == {**first, "t": 1000.1, "event": "accepted"}
    assert run.recorded == [("publish", "t", None)]
    assert run.tracker.outstanding == 1


def test_a_refused_task_is_offered_once_in_the_journal_and_twice_to_the_broker(tmp_path: Path) -> None:
    run = Run(tmp_path, error(QueueFull), "ok").go()
    assert run.events() == [("offered", 1), ("refused", 1), ("accepted", 2)]
    assert run.publisher.offered == [("t", "a")] * 2
    assert run.recorded == [("refused", "t", "QueueFull: full"), ("publish", "t", None)]
    assert run.lines()[1]["reason"] == "full"


def test_a_refusal_that_was_stored_is_the_end(tmp_path: Path) -> None:
    run = Run(tmp_path, error(QueueFull, stored=True)).go()
    assert run.events() == [("offered", 1), ("refused", 1), ("gave_up", 1)]
    assert run.lines()[1]["stored"] is True


@pytest.mark.parametrize("kind", [Unroutable, PublishError])
def test_what_no_repetition_helps_is_the_end(tmp_path: Path, kind: type[PublishError]) -> None:
    run = Run(tmp_path, error(kind, "no such queue")).go()
    assert run.events() == [("offered", 1), ("refused", 1), ("gave_up", 1)]
    assert run.lines()[2]["reason"] == "no such queue"


def test_a_broker_out_of_reach_is_tried_again(tmp_path: Path) -> None:
    assert Run(tmp_path, error(Unreachable), "ok").go().events() == [("offered", 1), ("refused", 1), ("accepted", 2)]


def test_an_unconfirmed_task_is_offered_again_under_its_id(tmp_path: Path) -> None:
    run = Run(tmp_path, error(Unconfirmed, "silence"), "ok").go()
    assert run.events() == [("offered", 1), ("unconfirmed", 1), ("accepted", 2)]
    assert run.recorded[0] == ("unconfirmed", "t", "Unconfirmed: silence")


def test_a_task_refused_until_its_deadline_is_given_up(tmp_path: Path) -> None:
    run = Run(tmp_path, *(error(QueueFull) for _ in range(9)), deadline_seconds=5.0).go()
    assert run.events()[-1][0] == "gave_up"
    assert run.lines()[-1]["reason"] == "deadline"
    assert run.offering.dispatcher.tally.gave_up == 1


def test_an_error_of_our_own_is_a_refusal_and_not_the_end_of_the_publisher(tmp_path: Path) -> None:
    run = Run(tmp_path, TypeError("not serializable")).go()
    assert run.events() == [("offered", 1), ("refused", 1), ("gave_up", 1)]
    assert run.lines()[1]["reason"] == "not serializable"


def test_a_publisher_stopped_in_the_middle_leaves_the_outcome_open(tmp_path: Path) -> None:
    run = Run(tmp_path, KeyboardInterrupt())
    offer, _ = run.offering.next()
    assert offer is not None
    with pytest.raises(KeyboardInterrupt):
        run.offering.make(offer)
    run.offering.end()
    assert run.events() == [("offered", 1), ("unconfirmed", 1)]


def test_what_still_waits_at_the_end_is_given_up_in_the_journal(tmp_path: Path) -> None:
    run = Run(tmp_path, error(QueueFull))
    offer, _ = run.offering.next()
    assert offer is not None
    run.offering.make(offer)
    run.offering.end()
    assert run.events() == [("offered", 1), ("refused", 1), ("gave_up", 1)]
    assert run.lines()[-1]["reason"] == "end of the run"


def test_the_ledger_can_account_for_what_the_journal_says(tmp_path: Path) -> None:
    run = Run(tmp_path, error(QueueFull), error(Unconfirmed), "ok").go()
    offers = read_offers(run.path)
    assert offers.torn == 0
    ledger = account(offers=offers.entries, effects=[], dead_letters=[], in_queue=["a"], expected_kinds={"t": "row"})
    counts = ledger.counts
    assert (counts.offered, counts.accepted, counts.refused_then_accepted) == (1, 1, 1)


def test_a_load_without_a_ledger_writes_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path, "ok")
    run.offering._journal = NoJournal()
    run.go()
    assert run.lines() == []


def test_a_task_is_tracked_from_its_first_attempt_to_its_first_effect() -> None:
    tracker = Tracker()
    tracker.offered("a", task="t", at=10.0)
    tracker.accepted("a")
    assert tracker.outstanding == 1
    completion = tracker.saw(Sighting("a", 12.5))
    assert completion is not None
    assert (completion.task, completion.seconds, completion.error) == ("t", 2.5, "")
    assert tracker.saw(Sighting("a", 13.0)) is None  # a duplicate
    assert tracker.saw(Sighting("b", 13.0)) is None  # another publisher's
    assert (tracker.outstanding, tracker.completed, tracker.failed) == (0, 1, 0)


def test_an_effect_seen_before_the_confirm_is_not_waited_for() -> None:
    tracker = Tracker()
    tracker.offered("a", task="t", at=10.0)
    tracker.saw(Sighting("a", 10.1))
    tracker.accepted("a")
    assert tracker.outstanding == 0


def test_a_failed_task_has_ended_and_is_counted() -> None:
    tracker = Tracker()
    tracker.offered("a", task="t", at=10.0)
    tracker.accepted("a")
    tracker.saw(Sighting("a", 11.0, error="ValueError"))
    assert (tracker.outstanding, tracker.completed, tracker.failed) == (0, 0, 1)
