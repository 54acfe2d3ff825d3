"""`Publisher.publish`: what it retries, how long, and what it says at the end. No broker: each attempt is scripted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from celery import Celery

from celery_workers import (
    FAIL_FAST,
    Backoff,
    Publisher,
    PublishError,
    QueueFull,
    TaskCall,
    Unconfirmed,
    Unreachable,
    Unroutable,
    Wait,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Scripted(Publisher):
    """Each attempt ends as the script says; "ok" is an accepted one."""

    def __init__(self, script: Iterable[Any], clock: Clock, **options: Any) -> None:
        super().__init__(
            Celery(broker="memory://"),
            backoff=Backoff(first_seconds=1, factor=2, max_seconds=8, jitter=0),
            clock=clock,
            sleep=clock.sleep,
            **options,
        )
        self.script = iter(script)
        self.offered: list[str] = []

    def attempt(self, task: Any, *, task_id: str | None = None, **_options: Any) -> str:
        assert task_id is not None
        self.offered.append(task_id)
        outcome = next(self.script)
        if outcome == "ok":
            return task_id
        raise outcome("scripted", task=task, task_id=task_id, queue="io")


def stored(reason: str, **about: str) -> QueueFull:
    return QueueFull(reason, stored=True, **about)


def test_a_refused_task_is_offered_again_under_the_same_id_after_growing_delays() -> None:
    clock = Clock()
    publisher = Scripted([QueueFull, Unreachable, Unconfirmed, "ok"], clock)
    task_id = publisher.publish("t")
    assert publisher.offered == [task_id] * 4
    assert clock.slept == [1, 2, 4]
    assert publisher.counters["retried"] == 3
    assert publisher.counters["gave_up"] == 0


def test_no_attempt_starts_after_the_deadline() -> None:
    clock = Clock()
    publisher = Scripted([QueueFull] * 9, clock)
    with pytest.raises(QueueFull) as caught:
        publisher.publish("t", deadline_seconds=7.5)
    assert clock.slept == [1, 2, 4]  # the next would have been at 15 s
    assert caught.value.attempts == 4
    assert publisher.counters["gave_up"] == 1


@pytest.mark.parametrize("error", [stored, Unroutable, PublishError])
def test_what_another_attempt_cannot_help_is_raised_at_once(error: Any) -> None:
    clock = Clock()
    publisher = Scripted([error, "ok"], clock)
    with pytest.raises(PublishError):
        publisher.publish("t")
    assert clock.slept == []
    assert publisher.counters["gave_up"] == 1


def test_a_task_that_may_be_in_the_queue_is_never_reported_as_refused() -> None:
    publisher = Scripted([Unconfirmed, QueueFull, QueueFull], Clock())
    with pytest.raises(Unconfirmed) as caught:
        publisher.publish("t", deadline_seconds=4)
    assert caught.value.attempts == 3


def test_an_accepted_attempt_settles_an_earlier_doubt() -> None:
    publisher = Scripted([Unconfirmed, "ok"], Clock())
    assert publisher.publish("t", task_id="x") == "x"


def test_the_message_names_task_queue_and_attempts() -> None:
    error = QueueFull("full", task="mail", task_id="7", queue="io", attempts=3)
    assert str(error) == "mail[7] to queue 'io': full (attempt 3)"


def test_any_transport_will_do_though_only_amqp_confirms() -> None:
    app = Celery(broker="memory://")
    app.conf.task_default_queue = "anything"
    publisher = Publisher(app)
    assert publisher.attempt("t", kwargs={"a": 1}, task_id="7") == "7"
    assert publisher.counters["accepted"] == 1
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue("anything").get(timeout=5)
    assert message.headers["id"] == "7"


class Shelf:
    """A keeper that remembers."""

    def __init__(self) -> None:
        self.calls: list[TaskCall] = []

    def keep(self, call: TaskCall) -> None:
        self.calls.append(call)


def test_fail_fast_offers_once() -> None:
    clock = Clock()
    publisher = Scripted([QueueFull, "ok"], clock)
    with pytest.raises(QueueFull):
        publisher.publish("t", when_full=FAIL_FAST)
    assert clock.slept == []


def test_a_wait_of_its_own_bounds_a_full_queue_and_nothing_else() -> None:
    clock = Clock()
    publisher = Scripted([Unreachable] * 3 + [QueueFull], clock, when_full=Wait(5))
    with pytest.raises(QueueFull):
        publisher.publish("t", deadline_seconds=60)
    assert clock.slept == [1, 2, 4]  # at 7 s the queue's five are over


def test_a_wait_may_be_longer_than_the_deadline() -> None:
    clock = Clock()
    publisher = Scripted([QueueFull, QueueFull, "ok"], clock)
    publisher.publish("t", deadline_seconds=0, when_full=Wait(10))
    assert clock.slept == [1, 2]


@pytest.mark.parametrize("error", [QueueFull, Unreachable, Unconfirmed])
def test_a_keeper_takes_at_once_what_the_broker_has_not_accepted(error: Any) -> None:
    clock, shelf = Clock(), Shelf()
    publisher = Scripted([error], clock)
    task_id = publisher.publish("t", args=(1,), kwargs={"a": 2}, when_full=shelf, priority=6)
    assert shelf.calls == [TaskCall("t", args=(1,), kwargs={"a": 2}, task_id=task_id, options={"priority": 6})]
    assert clock.slept == []
    assert publisher.counters["kept"] == 1
    assert publisher.counters["gave_up"] == 0


@pytest.mark.parametrize("error", [stored, Unroutable, PublishError])
def test_a_keeper_is_not_given_what_can_never_be_accepted(error: Any) -> None:
    shelf = Shelf()
    with pytest.raises(PublishError):
        Scripted([error], Clock()).publish("t", when_full=shelf)
    assert shelf.calls == []
