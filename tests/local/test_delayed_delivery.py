"""Delayed delivery: tasks that are due later wait in RabbitMQ, not in a worker, and come when they are due."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from amqp.exceptions import NotFound
from celery import Celery, chain, uuid
from kombu import Connection

from benchmarks import workers
from celery_workers import Publisher, TaskCall, Topology, Unroutable
from harness.broker.delays import queues_on_the_way
from harness.broker.management import Management, dead_letters
from harness.broker.server import Broker
from harness.ops.status import Delayed, delayed_tasks
from tests.local.keeper import ALONE
from tests.local.publishing import rabbitmqctl
from tests.local.test_workers import APP
from tests.local.worker_release import ReleaseUnderTest, eventually

pytestmark = pytest.mark.timeout(300)

PLAIN = "tests.local.user_apps.plain"
MAIL, RETRY, FAIL = f"{PLAIN}.send_mail", f"{PLAIN}.retry_later", f"{PLAIN}.fail"
QUORUM = {"type": "quorum", "max_priority": None}
KINDS = pytest.mark.parametrize(
    "kind", [pytest.param(QUORUM, id="quorum"), pytest.param({}, id="classic", marks=pytest.mark.full)]
)
ON = {"highest_level": 5}
# RabbitMQ's, of queues with at-least-once dead letters: how many they offer at a time, and the setting that says after
# how many milliseconds they offer a refused one again.
OFFERED_AT_ONCE = 32
RETRY_SETTING = "dead_letter_worker_publisher_confirm_timeout"


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


@pytest.mark.parametrize(
    "delays", [pytest.param(ON, id="delayed"), pytest.param(None, id="held", marks=pytest.mark.full)]
)
def test_what_is_due_later_takes_no_slot(delays: dict[str, int] | None, vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(delays=delays, **QUORUM))
    with release.worker("work") as worker:
        later = [by_celery(release, countdown=4) for _ in range(4)]
        time.sleep(1)  # so that a worker that holds them has them
        now = by_celery(release)
        assert eventually(lambda: len(release.effects()) == 5)
        done = [note["id"] for note in release.effects()]
        assert sorted(done) == sorted([*later, now])
        assert (done[0] == now) == bool(delays)
        assert "Native delayed delivery" not in worker.log.read_text() or not delays


@KINDS
def test_tasks_come_when_they_are_due(kind: dict[str, Any], vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("prefork", **kind))
    ways: list[Callable[..., str]] = [by_celery, by_publisher, by_bulk, by_another_app]
    due: dict[str, float] = {}
    with release.worker("work") as worker:
        for way in ways:
            for seconds in (1, 2.5):
                before = time.time()
                due[way(release, countdown=seconds, expires=600)] = before + seconds
            eta = datetime.now(UTC) + timedelta(seconds=2)
            due[way(release, eta=eta)] = eta.timestamp()
        assert eventually(lambda: due.keys() <= {note["id"] for note in release.effects()})
        assert "Direct exchanges" not in worker.log.read_text()
    for note in release.effects():
        assert note["queue"] == "main"
        assert -0.05 < note["at"] - due[note["id"]] < 2
        assert -1 <= note["stamp"] - due[note["id"]] < 2  # of whole seconds; how long it waits counts from there
    assert len(release.effects()) == len(due)


@pytest.mark.parametrize("pool", ["prefork", pytest.param("gevent", marks=pytest.mark.full)])
def test_a_retry_comes_back_under_its_id(pool: str, vhost_broker: Broker, tmp_path: Path) -> None:
    """Twice by the same levels, which RabbitMQ must not take for a message that goes round in circles."""
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(pool, **QUORUM))
    with release.worker("work"):
        task = release.publisher().send_task(RETRY, kwargs={"seconds": 1, "times": 1}, countdown=1).id
        assert eventually(lambda: len(release.effects(task)) == 2)
    notes = release.effects()
    assert [(note["id"], note["queue"], note["retries"]) for note in notes] == [(task, "main", n) for n in range(2)]
    assert all(0.95 < after["at"] - note["at"] < 3 for note, after in itertools.pairwise(notes))


def test_dead_letters_say_their_queue(vhost_broker: Broker, tmp_path: Path) -> None:
    """Those that a worker makes, and those that RabbitMQ makes of what expires in the queue."""
    topology = make_topology(**QUORUM)
    topology["queues"]["full"]["message_ttl_seconds"] = 0.5
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, topology)
    publisher = release.publisher()
    with release.worker("work"):
        failed = publisher.send_task(FAIL, countdown=1).id
        expired = publisher.send_task(MAIL, countdown=1, queue="full").id
        assert eventually(lambda: bool(dead_letters(vhost_broker.amqp_url, "main.dead")))
        assert eventually(lambda: bool(dead_letters(vhost_broker.amqp_url, "full.dead")))
    (letter,) = dead_letters(vhost_broker.amqp_url, "main.dead")
    assert (letter.id, letter.queue, letter.reason) == (failed, "main", "failed")
    (letter,) = dead_letters(vhost_broker.amqp_url, "full.dead")
    assert (letter.id, letter.queue, letter.reason) == (expired, "full", "expired")


def test_a_ledger_finds_what_waits(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(**QUORUM))
    sent = {by_celery(release, countdown=40), by_celery(release, countdown=6), by_celery(release)}

    def found() -> list[str]:
        names = queues_on_the_way(release.topology)
        return [letter.id for name in names for letter in dead_letters(vhost_broker.amqp_url, name)]

    assert eventually(lambda: sorted(found()) == sorted(sent))  # it is looked at, and stays


@pytest.mark.full
def test_a_chains_link_that_is_due_later_takes_no_slot(vhost_broker: Broker, tmp_path: Path) -> None:
    """The worker sends it: a link has its countdown from when the task before it is done."""
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("prefork", **QUORUM))
    app = release.publisher()
    with release.worker("work"):
        links = [app.signature(MAIL, immutable=True, task_id=uuid(), countdown=seconds) for seconds in (0, 3, 0)]
        chain(*links).apply_async()
        ids = [link.options["task_id"] for link in links]
        assert eventually(lambda: len(release.effects()) == len(links))
    notes = release.effects()
    assert [(note["id"], note["queue"]) for note in notes] == [(one, "main") for one in ids]
    assert 2.95 < notes[1]["at"] - notes[0]["at"] < 5
    assert notes[2]["at"] - notes[1]["at"] < 2


@pytest.mark.full
def test_what_is_due_keeps_its_priority(vhost_broker: Broker, tmp_path: Path) -> None:
    topology = make_topology()
    topology["classes"]["work"]["concurrency"] = 1
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, topology)
    calls = [TaskCall(MAIL, options={"priority": priority, "countdown": 1}) for priority in (1, 9, 5)]
    assert all(outcome.accepted for outcome in library(release).publish_many(calls))
    for priority in (2, 8, 4):
        by_celery(release, priority=priority, countdown=1)
    assert eventually(lambda: release.depth_now("main").ready == 6)
    with release.worker("work"):
        assert eventually(lambda: len(release.effects()) == 6)
    assert [note["priority"] for note in release.effects()] == [9, 8, 5, 4, 2, 1]


def overfill(release: ReleaseUnderTest) -> int:
    """Have more tasks come due for `full` than it takes, and than RabbitMQ offers at a time; return how many."""
    refused = [TaskCall(MAIL, options={"queue": "full", "countdown": 1}) for _ in range(80)]
    assert all(outcome.accepted for outcome in library(release).publish_many(refused))
    return len(refused)


@KINDS
def test_a_full_queue_holds_up_no_other_queues_tasks(
    kind: dict[str, Any], vhost_broker: Broker, tmp_path: Path
) -> None:
    """However many it refuses."""
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(**kind))
    overfill(release)
    with release.worker("work"):
        assert eventually(lambda: release.depth_now("full").ready >= 1)
        others = {by_celery(release, countdown=seconds) for seconds in (1, 2, 3)}
        later = by_celery(release, countdown=40)
        assert eventually(lambda: others <= {note["id"] for note in release.effects()}, seconds=10)
    # A quorum queue takes more than its limit of what comes at once.
    assert release.depth_now("full").ready <= 1 + OFFERED_AT_ONCE
    assert dead_letters(vhost_broker.amqp_url, "full.dead") == []
    assert later not in {note["id"] for note in release.effects()}


@pytest.mark.full
@KINDS
def test_status_tells_what_is_refused_from_what_is_not_due(
    kind: dict[str, Any], vhost_broker: Broker, tmp_path: Path
) -> None:
    """As `harness ops status` shows it; RabbitMQ says it some seconds late."""
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(**kind))
    by_celery(release, countdown=60)
    sent = overfill(release)

    def is_shown() -> bool:
        with Management(vhost_broker.management_url) as api:
            shown = delayed_tasks("celery", api.queue_documents())
        return shown == Delayed(later=1, refused={"full": sent - release.depth_now("full").ready})

    assert eventually(lambda: release.depth_now("full").ready >= 1)
    assert eventually(is_shown, seconds=40)


def shorten_retries(broker: Broker) -> None:
    rabbitmqctl(broker, "eval", f"application:set_env(rabbit, {RETRY_SETTING}, 1000).")


def lose_nothing_to_a_full_queue(release: ReleaseUnderTest, tasks: int, *, retry_seconds: float, quorum: bool) -> None:
    """RabbitMQ offers a refused task again between one and two of its intervals later, to a queue of one message."""
    sent = {by_celery(release, queue="full")}
    assert eventually(lambda: release.depth_now("full").ready == 1)
    sent |= {by_celery(release, queue="full", countdown=1) for _ in range(tasks)}
    time.sleep(4)  # so that all have been offered
    waiting = release.depth_now("full").ready
    if quorum:  # it takes more than its limit until those who publish have heard that it is full
        assert 1 <= waiting < len(sent), "none was refused"
    else:
        assert waiting == 1
    with release.worker("other"):
        assert eventually(
            lambda: sent <= {note["id"] for note in release.effects()}, seconds=tasks * retry_seconds + 20
        )
    assert len(release.effects()) == len(sent)
    assert dead_letters(release.broker.amqp_url, "full.dead") == []


@ALONE
@KINDS
def test_a_full_queue_at_the_due_time_loses_nothing(
    kind: dict[str, Any], own_broker: Broker, own_vhost_broker: Broker, tmp_path: Path
) -> None:
    """On a RabbitMQ whose interval is a second; the next test has its own of three minutes."""
    shorten_retries(own_broker)
    release = ReleaseUnderTest.install(own_vhost_broker, tmp_path, make_topology(**kind))
    lose_nothing_to_a_full_queue(release, 3, retry_seconds=1, quorum=kind == QUORUM)


@pytest.mark.full
@pytest.mark.timeout(1300)
@KINDS
def test_by_rabbitmqs_own_interval_too(kind: dict[str, Any], vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(**kind))
    lose_nothing_to_a_full_queue(release, 6, retry_seconds=180, quorum=kind == QUORUM)


@pytest.mark.full
@ALONE
def test_a_task_waits_for_a_queue_that_is_gone(own_broker: Broker, own_vhost_broker: Broker, tmp_path: Path) -> None:
    shorten_retries(own_broker)
    release = ReleaseUnderTest.install(own_vhost_broker, tmp_path, make_topology(**QUORUM))
    task = by_celery(release, countdown=2)
    with Connection(own_vhost_broker.amqp_url) as connection:
        connection.default_channel.queue_delete("main")
    time.sleep(4)  # so that it has been due
    assert release.apply().returncode == 0
    with release.worker("work"):
        assert eventually(lambda: bool(release.effects(task)))


@pytest.mark.full
def test_before_the_delay_queues_are_there_nothing_goes_astray(vhost_broker: Broker, tmp_path: Path) -> None:
    """What cannot be sent is the sender's to know; a worker's retry is a dead letter."""
    (tmp_path / "before").mkdir()
    ReleaseUnderTest.install(vhost_broker, tmp_path / "before", make_topology(delays=None, **QUORUM))
    topology = make_topology(**QUORUM)
    config = workers.write_config(tmp_path / "config", topology)
    release = ReleaseUnderTest(vhost_broker, topology, config, tmp_path)
    with pytest.raises(Unroutable, match="celery_celery_delayed_5"):
        by_publisher(release, countdown=2)
    with pytest.raises(NotFound, match="celery_celery_delayed_5"):
        by_celery(release, countdown=2)
    with release.worker("work"):
        task = release.publisher().send_task(RETRY, kwargs={"seconds": 2, "times": 1}).id
        assert eventually(lambda: bool(dead_letters(vhost_broker.amqp_url, "main.dead")))
    (letter,) = dead_letters(vhost_broker.amqp_url, "main.dead")
    assert (letter.id, letter.queue) == (task, "main")


def test_what_waits_comes_also_after_delays_were_turned_off(vhost_broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    before = ReleaseUnderTest.install(vhost_broker, tmp_path / "before", make_topology(**QUORUM))
    task = by_celery(before, countdown=3)
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(delays=None, **QUORUM))
    with release.worker("work"):
        assert eventually(lambda: bool(release.effects(task)))
    assert [note["queue"] for note in release.effects()] == ["main"]
