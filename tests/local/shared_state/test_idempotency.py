"""Done markers: once, also after a failure, a crash, and while somebody else is at it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from celery import Celery

from celery_workers.idempotency import DoneMarkers, InProgress
from celery_workers.shared import SharedRedis


def do(markers: DoneMarkers, key: str = "k", *, wait_seconds: float | None = None) -> bool:
    with markers.once(key, wait_seconds=wait_seconds) as first:
        return first


def wait_for(condition: Callable[[], bool], *, seconds: float = 10.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_done_is_done_for_everybody_until_the_marker_ends(shared: SharedRedis) -> None:
    markers = DoneMarkers("mails", redis=shared)
    elsewhere = DoneMarkers("mails", redis=shared)
    assert do(markers)
    assert not do(elsewhere)
    assert elsewhere.is_done("k")
    assert do(DoneMarkers("letters", redis=shared))  # another kind of work
    assert elsewhere.counters["done"] == 1
    assert do(DoneMarkers("mails", redis=shared, done_seconds=0.1), "soon forgotten")
    wait_for(lambda: not elsewhere.is_done("soon forgotten"))
    assert do(elsewhere, "soon forgotten")


def test_what_failed_may_be_done_again_at_once(shared: SharedRedis) -> None:
    markers = DoneMarkers("mails", redis=shared)
    with pytest.raises(ZeroDivisionError), markers.once("k"):
        raise ZeroDivisionError
    assert not markers.is_done("k")
    assert do(markers, wait_seconds=0)


def test_the_claim_of_a_run_that_died_ends(shared: SharedRedis) -> None:
    markers = DoneMarkers("mails", redis=shared, claim_seconds=60)
    died = markers.once("k")
    assert died.__enter__()
    with pytest.raises(InProgress) as caught:
        do(markers, wait_seconds=0)
    assert 0 < caught.value.retry_after_seconds <= 60
    died_soon = DoneMarkers("mails", redis=shared, claim_seconds=0.3).once("another")
    assert died_soon.__enter__()
    assert do(markers, "another")  # waits until the claim has ended, then does it


def test_a_concurrent_repetition_waits_for_the_first_and_does_nothing(shared: SharedRedis) -> None:
    markers = DoneMarkers("mails", redis=shared)
    claimed, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with markers.once("k"):
            claimed.set()
            go_on.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    assert claimed.wait(10)
    threading.Timer(0.2, go_on.set).start()
    assert not do(markers)
    thread.join(10)


def test_a_run_whose_claim_ended_does_not_give_back_its_successors(shared: SharedRedis) -> None:
    markers = DoneMarkers("mails", redis=shared)
    late, successor = DoneMarkers("mails", redis=shared, claim_seconds=0.1).once("k"), markers.once("k")
    assert late.__enter__()
    assert successor.__enter__()  # waits until the claim has ended
    late.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    with pytest.raises(InProgress):
        do(markers, wait_seconds=0)


def test_a_redelivered_task_does_nothing(shared: SharedRedis) -> None:
    app, markers, sent = Celery(set_as_current=False), DoneMarkers("mails", redis=shared), []

    @app.task(shared=False)  # an app finalized later would have it too
    @markers.task
    def send(address: str) -> str:
        """Send it."""
        sent.append(address)
        return "sent"

    assert send.apply(("a",), task_id="one").get() == "sent"
    assert send.apply(("a",), task_id="one").get() is None
    assert send.apply(("b",), task_id="two").get() == "sent"
    assert send("c") == "sent"  # called as a function
    assert sent == ["a", "b", "c"]


def test_redis_away_means_not_done_yet(away: SharedRedis) -> None:
    markers = DoneMarkers("mails", redis=away)
    assert do(markers)
    assert do(markers)
    assert not markers.is_done("k")
    assert markers.counters["redis_away"] == 5
    assert do(DoneMarkers("mails"))  # none configured


@pytest.mark.parametrize("option", ["claim_seconds", "done_seconds"])
def test_an_expiry_that_cannot_be_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match=option):
        DoneMarkers("mails", **{option: 0})  # type: ignore[arg-type]
