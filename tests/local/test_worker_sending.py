"""What a task sends into a full queue is not lost: it waits a little, then it is a dead letter that says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from celery import uuid

from benchmarks import workers
from harness.broker.management import dead_letters
from harness.broker.server import Broker
from tests.local.test_workers import APP, GEVENT_OR_FULL, POOLS
from tests.local.worker_release import ReleaseUnderTest, eventually

pytestmark = pytest.mark.timeout(120)

TASKS = "tests.local.user_apps.plain"
OVERFLOWS = ["reject-publish", "reject-publish-dlx"]


def make_topology(pool: str, **full: object) -> workers.Topology:
    """A class that works on `main`, and `full`, on which nobody works and where one message has room."""
    return workers.make_topology(
        app=APP,
        classes={
            "work": workers.make_class(pool, POOLS[pool], "main"),
            "other": workers.make_class("threads", 1, "full"),
        },
        queues={
            "main": workers.make_queue("work", dead_letter_queue="main.dead"),
            "full": workers.make_queue("other", dead_letter_queue="full.dead", max_length_messages=1, **full),
        },
    )


def fill(release: ReleaseUnderTest) -> None:
    """Put into `full` what it has room for."""
    release.publisher().send_task(f"{TASKS}.send_mail", queue="full")


def link_of(release: ReleaseUnderTest) -> tuple[str, str]:
    """Send a chain from `main` into `full`; return the ids of its first and second task."""
    app = release.publisher()
    second = app.signature(f"{TASKS}.send_mail", queue="full", immutable=True, task_id=uuid())
    first = app.send_task(f"{TASKS}.start", queue="main", chain=[second])
    return first.id, second.options["task_id"]


@pytest.mark.parametrize("pool", GEVENT_OR_FULL)
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_chain_link_into_a_full_queue(pool: str, overflow: str, vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(pool, overflow=overflow))
    fill(release)
    with release.worker("work"):
        first, second = link_of(release)
        assert eventually(lambda: bool(dead_letters(vhost_broker.amqp_url, "full.dead")))
        assert eventually(lambda: release.depth("main") == 0)
    (letter,) = dead_letters(vhost_broker.amqp_url, "full.dead")
    said = {"reject-publish": "refused", "reject-publish-dlx": "maxlen"}[overflow]
    assert (letter.id, letter.queue, letter.reason) == (second, "full", said)
    assert len(release.effects(first)) == 1
    assert dead_letters(vhost_broker.amqp_url, "main.dead") == []  # the first task's work is done


def test_chain_link_into_a_full_quorum_queue(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(
        vhost_broker, tmp_path, make_topology("threads", type="quorum", max_priority=None)
    )
    for _ in range(2):  # it takes one more than its limit
        fill(release)
    with release.worker("work"):
        _, second = link_of(release)
        assert eventually(lambda: bool(dead_letters(vhost_broker.amqp_url, "full.dead")))
    (letter,) = dead_letters(vhost_broker.amqp_url, "full.dead")
    assert (letter.id, letter.reason) == (second, "refused")


def test_link_waits_for_a_queue_that_empties(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("threads", overflow="reject-publish"))
    fill(release)
    with release.worker("work", pod="pod-0"):
        _, second = link_of(release)
        with release.worker("other", pod="pod-1"):
            assert eventually(lambda: bool(release.effects(second)) or second in _dead(vhost_broker))
            third = link_of(release)[1]
            assert eventually(lambda: bool(release.effects(third)) or third in _dead(vhost_broker))
    assert {*(note["id"] for note in release.effects()), *_dead(vhost_broker)} >= {second, third}


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_retry_into_a_full_queue(overflow: str, vhost_broker: Broker, tmp_path: Path) -> None:
    """The task's own queue is full when it wants to come back, and its own slot is the one that would empty it."""
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("threads", overflow=overflow))
    publisher = release.publisher()
    with release.worker("other"):
        task = publisher.send_task(f"{TASKS}.retry_once", kwargs={"seconds": 1}, queue="full").id
        assert eventually(lambda: len(release.effects(task)) == 1)
        waiting = publisher.send_task(f"{TASKS}.send_mail", queue="full").id
        assert eventually(lambda: _dead(vhost_broker) == [task])
        assert eventually(lambda: bool(release.effects(waiting)))
        assert eventually(lambda: release.depth("full") == 0)
    assert len(release.effects(task)) == 1


def _dead(broker: Broker) -> list[str]:
    return [letter.id for letter in dead_letters(broker.amqp_url, "full.dead")]
