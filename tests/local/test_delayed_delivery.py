"""Delayed delivery: tasks that are due later wait in RabbitMQ, not in a worker, and come when they are due."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from benchmarks import workers
from celery_workers import Publisher, TaskCall, Topology
from harness.broker.management import dead_letters
from harness.broker.server import Broker
from tests.local.test_workers import APP
from tests.local.worker_release import ReleaseUnderTest, eventually

pytestmark = pytest.mark.timeout(300)

PLAIN = "tests.local.user_apps.plain"
MAIL, RETRY, FAIL = f"{PLAIN}.send_mail", f"{PLAIN}.retry_later", f"{PLAIN}.fail"
QUORUM = {"type": "quorum", "max_priority": None}
ON = {"highest_level": 5}


def make_topology(pool: str = "threads", delays: dict[str, int] | None = ON, **queue: Any) -> workers.Topology:
    """A class that works on `main` with four slots, and one that works on `full`."""
    return workers.make_topology(
        app=APP,
        classes={"work": workers.make_class(pool, 4, "main"), "other": workers.make_class("threads", 4, "full")},
        queues={
            "main": workers.make_queue("work", dead_letter_queue="main.dead", **queue),
            "full": workers.make_queue("other", dead_letter_queue="full.dead", **{**queue, "max_length_messages": 1}),
        },
        delayed_delivery=delays,
    )


def by_celery(release: ReleaseUnderTest, **options: Any) -> str:
    return str(release.publisher().send_task(MAIL, **options).id)


def library(release: ReleaseUnderTest, app: Celery | None = None) -> Publisher:
    return Publisher(app or release.publisher(), topology=Topology.from_document(release.topology))


def by_publisher(release: ReleaseUnderTest, **options: Any) -> str:
    return library(release).publish(MAIL, deadline_seconds=5, **options)


def by_bulk(release: ReleaseUnderTest, **options: Any) -> str:
    (outcome,) = library(release).publish_many([TaskCall(MAIL, options=options)])
    assert outcome.accepted, outcome
    return outcome.task_id


def by_another_app(release: ReleaseUnderTest, **options: Any) -> str:
    """Without the release's celeryconfig, so that the library alone knows of the delays."""
    app = Celery("another", broker=release.broker.amqp_url, set_as_current=False)
    app.conf.task_default_queue = "main"
    app.conf.broker_transport_options = {"confirm_publish": True}
    return library(release, app).publish(MAIL, deadline_seconds=5, **options)


@pytest.mark.parametrize("delays", [ON, None], ids=["delayed", "held"])
def test_what_is_due_later_takes_no_slot(delays: dict[str, int] | None, vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(delays=delays, **QUORUM))
    with release.worker("work") as worker:
        later = {by_celery(release, countdown=8) for _ in range(4)}
        time.sleep(1)  # so that a worker that holds them has them
        now = by_celery(release)
        assert eventually(lambda: bool(release.effects(now)), seconds=4) == bool(delays)
        assert eventually(lambda: later <= {note["id"] for note in release.effects()})
        assert "Native delayed delivery" not in worker.log.read_text() or not delays


@pytest.mark.parametrize("kind", [QUORUM, {}], ids=["quorum", "classic"])
def test_tasks_come_when_they_are_due(kind: dict[str, Any], vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("prefork", **kind))
    ways: list[Callable[..., str]] = [by_celery, by_publisher, by_bulk, by_another_app]
    due: dict[str, float] = {}
    with release.worker("work") as worker:
        for way in ways:
            for seconds in (1, 3, 6.5):
                before = time.time()
                due[way(release, countdown=seconds, expires=600)] = before + seconds
            eta = datetime.now(UTC) + timedelta(seconds=2)
            due[way(release, eta=eta)] = eta.timestamp()
        assert eventually(lambda: due.keys() <= {note["id"] for note in release.effects()})
        assert "Direct exchanges" not in worker.log.read_text()
    for note in release.effects():
        assert note["queue"] == "main"
        assert -0.05 < note["at"] - due[note["id"]] < 2
    assert len(release.effects()) == len(due)


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_a_retry_comes_back_under_its_id(pool: str, vhost_broker: Broker, tmp_path: Path) -> None:
    """Three times by the same levels, which RabbitMQ must not take for a message that goes round in circles."""
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(pool, **QUORUM))
    with release.worker("work"):
        task = release.publisher().send_task(RETRY, kwargs={"seconds": 3, "times": 3}, countdown=3).id
        assert eventually(lambda: len(release.effects(task)) == 4)
    notes = release.effects()
    assert [(note["id"], note["queue"], note["retries"]) for note in notes] == [(task, "main", n) for n in range(4)]
    assert all(2.95 < after["at"] - note["at"] < 5 for note, after in itertools.pairwise(notes))


def test_dead_letters_say_their_queue(vhost_broker: Broker, tmp_path: Path) -> None:
    """Those that a worker makes, and those that RabbitMQ makes of what expires in the queue."""
    topology = make_topology(**QUORUM)
    topology["queues"]["full"]["message_ttl_seconds"] = 0.5
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, topology)
    publisher = release.publisher()
    with release.worker("work"):
        failed = publisher.send_task(FAIL, countdown=2).id
        expired = publisher.send_task(MAIL, countdown=2, queue="full").id
        assert eventually(lambda: bool(dead_letters(vhost_broker.amqp_url, "main.dead")))
        assert eventually(lambda: bool(dead_letters(vhost_broker.amqp_url, "full.dead")))
    (letter,) = dead_letters(vhost_broker.amqp_url, "main.dead")
    assert (letter.id, letter.queue, letter.reason) == (failed, "main", "failed")
    (letter,) = dead_letters(vhost_broker.amqp_url, "full.dead")
    assert (letter.id, letter.queue, letter.reason) == (expired, "full", "expired")


@pytest.mark.parametrize("kind", [QUORUM, {}], ids=["quorum", "classic"])
def test_a_full_queue_at_the_due_time_loses_nothing(kind: dict[str, Any], vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(**kind))
    sent = {by_celery(release, queue="full", countdown=1) for _ in range(6)}
    assert eventually(lambda: release.depth("full") >= 1)
    time.sleep(3)
    assert release.depth("full") < len(sent)
    with release.worker("other"):
        assert eventually(lambda: sent <= {note["id"] for note in release.effects()}, seconds=240)
    assert len(release.effects()) == len(sent)
    assert dead_letters(vhost_broker.amqp_url, "full.dead") == []


def test_what_waits_comes_also_after_delays_were_turned_off(vhost_broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    before = ReleaseUnderTest.install(vhost_broker, tmp_path / "before", make_topology(**QUORUM))
    task = by_celery(before, countdown=4)
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(delays=None, **QUORUM))
    with release.worker("work"):
        assert eventually(lambda: bool(release.effects(task)))
    assert [note["queue"] for note in release.effects()] == ["main"]
