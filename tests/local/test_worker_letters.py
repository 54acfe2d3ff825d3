"""What a worker gives up is a dead letter with the reason, and a task that kills workers is given up in the end."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest
from kombu import Connection

from benchmarks import workers
from harness import processes
from harness.broker.management import Management, dead_letters
from harness.broker.server import Broker
from harness.services.redis import Redis
from tests.local.test_workers import EACH_POOL, POOLS, make_topology
from tests.local.worker_release import ReleaseUnderTest, eventually

pytestmark = pytest.mark.timeout(180)

TASKS = "tests.local.user_apps.plain"


def install(broker: Broker, directory: Path, prefix: str, topology: workers.Topology) -> ReleaseUnderTest:
    """A release whose keys in Redis are this test's alone."""
    return ReleaseUnderTest.install(broker, directory, {**topology, "redis_key_prefix": prefix})


def raw_headers(broker: Broker, queue: str) -> list[dict[str, object]]:
    """Headers of every message of a queue; they stay in it."""
    with Connection(broker.amqp_url) as connection:
        channel = connection.channel()
        found = []
        while (message := channel.basic_get(queue, no_ack=False)) is not None:
            found.append(dict(message.headers))
    return found


@pytest.mark.parametrize("pool", EACH_POOL)
def test_dead_letter_says_why(pool: str, vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(pool))
    publisher = release.publisher()
    with release.worker("work"):
        failed = publisher.send_task(f"{TASKS}.fail", priority=7).id
        unknown = publisher.send_task("nobody.has.this").id
        assert eventually(lambda: len(dead_letters(vhost_broker.amqp_url, "main.dead")) == 2)
    letters = {letter.id: letter for letter in dead_letters(vhost_broker.amqp_url, "main.dead")}
    assert (letters[failed].reason, letters[failed].queue) == ("failed", "main")
    assert letters[failed].error == "ValueError: as it should"
    assert letters[unknown].reason == "unknown"
    (headers,) = (one for one in raw_headers(vhost_broker, "main.dead") if one["id"] == failed)
    assert "x-death" not in headers
    assert set(headers["x-celery-workers-death"]) == {"queue", "reason", "error", "at"}  # type: ignore[call-overload]
    assert release.depth("main") == 0


def test_without_a_place_for_the_copy_rabbitmq_moves_the_message(vhost_broker: Broker, tmp_path: Path) -> None:
    """The copy comes back, there being no queue of that name; the message itself goes where the policy says."""
    topology = make_topology("threads")
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, topology)
    config = (release.config / "topology.json").read_text()
    (release.config / "topology.json").write_text(config.replace('"main.dead"', '"not.there"'))
    with release.worker("work"):
        failed = release.publisher().send_task(f"{TASKS}.fail").id
        assert eventually(lambda: bool(dead_letters(vhost_broker.amqp_url, "main.dead")))
    (letter,) = dead_letters(vhost_broker.amqp_url, "main.dead")
    assert (letter.id, letter.reason) == (failed, "rejected")


def test_failures_are_kept_while_the_broker_goes_away(vhost_broker: Broker, tmp_path: Path) -> None:
    """Every connection is cut again and again while tasks fail: each stands in the dead-letter queue at least once."""
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("threads"))
    publisher = release.publisher()
    sent = {publisher.send_task(f"{TASKS}.fail").id for _ in range(60)}
    with release.worker("work"), Management(vhost_broker.management_url) as api:
        for _ in range(4):
            assert eventually(lambda: bool(api.connections()))
            for name in api.connections():
                api.close_connection(name)
        assert eventually(lambda: release.depth("main") == 0, seconds=60)
    assert {letter.id for letter in dead_letters(vhost_broker.amqp_url, "main.dead")} == sent


@pytest.mark.parametrize("pool", ["gevent", pytest.param("prefork", marks=pytest.mark.full)])
def test_task_that_kills_its_worker_ends_in_the_dead_letter_queue(
    pool: str, vhost_broker: Broker, redis: Redis, redis_prefix: str, tmp_path: Path
) -> None:
    """Classic queue, whole worker lost each time: two deliveries, as the queue allows, and no more."""
    topology = make_topology(pool)
    topology["queues"]["main"]["max_deliveries"] = 2
    release = install(vhost_broker, tmp_path, redis_prefix, topology)
    task = release.publisher().send_task(f"{TASKS}.kill_worker").id
    for life in range(3):
        with release.worker("work", pod=f"pod-{life}", environment=shared(redis)) as worker:
            last = life == 2
            assert eventually(lambda: worker.process.poll() is not None or bool(_dead(vhost_broker)), seconds=40)
            assert (worker.process.poll() is None) is last
    (letter,) = dead_letters(vhost_broker.amqp_url, "main.dead")
    assert (letter.id, letter.reason, letter.queue) == (task, "poison", "main")
    assert len(release.effects(task)) == 2


def test_quorum_queue_counts_itself(vhost_broker: Broker, tmp_path: Path) -> None:
    topology = make_topology("threads")
    for queue in topology["queues"].values():
        queue.update(type="quorum", max_priority=None, max_deliveries=2)
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, topology)
    task = release.publisher().send_task(f"{TASKS}.kill_worker").id
    for life in range(2):
        with release.worker("work", pod=f"pod-{life}") as worker:
            assert eventually(lambda: worker.process.poll() is not None, seconds=40)
    assert eventually(lambda: bool(_dead(vhost_broker)))
    (letter,) = dead_letters(vhost_broker.amqp_url, "main.dead")
    assert (letter.id, letter.reason) == (task, "delivery_limit")
    assert len(release.effects(task)) == 2


@pytest.mark.full
def test_innocent_tasks_of_a_worker_killed_three_times_are_done(
    vhost_broker: Broker, redis: Redis, redis_prefix: str, tmp_path: Path
) -> None:
    release = install(vhost_broker, tmp_path, redis_prefix, make_topology("threads"))
    publisher = release.publisher()
    sent = {publisher.send_task(f"{TASKS}.send_mail", kwargs={"seconds": 0.5}).id for _ in range(24)}
    for life in range(3):
        with release.worker("work", pod=f"pod-{life}", environment=shared(redis)) as worker:
            before = len(release.effects())
            assert eventually(lambda: len(release.effects()) > before)  # noqa: B023
            processes.kill_group(worker.process)
    with release.worker("work", pod="pod-3", environment=shared(redis)):
        assert eventually(lambda: {note["id"] for note in release.effects()} == sent)
        assert eventually(lambda: release.depth("main") == 0)
    assert not _dead(vhost_broker)
    runs = collections.Counter(note["id"] for note in release.effects())
    assert sum(runs.values()) - len(runs) <= 3 * POOLS["threads"]  # again at most what was in work at a kill


def test_redis_away_stops_nothing(vhost_broker: Broker, closed_port: int, tmp_path: Path) -> None:
    """Redelivered tasks are not counted, and run; the worker does not wait for Redis at each."""
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("threads"))
    away = {"CELERY_WORKERS_REDIS_URL": f"redis://127.0.0.1:{closed_port}/0"}
    publisher = release.publisher()
    sent = {publisher.send_task(f"{TASKS}.send_mail", kwargs={"seconds": 1}).id for _ in range(8)}
    with release.worker("work", pod="pod-0", environment=away) as worker:
        assert eventually(lambda: bool(release.effects()))
        processes.kill_group(worker.process)
    with release.worker("work", pod="pod-1", environment=away):
        assert eventually(lambda: {note["id"] for note in release.effects()} == sent)


def test_process_lost_again_and_again_without_max_retries(vhost_broker: Broker, tmp_path: Path) -> None:
    """A task that retries for ever does not kill its process for ever."""
    topology = make_topology("prefork", concurrency=1)
    topology["queues"]["main"]["max_deliveries"] = 2
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, topology)
    with release.worker("work"):
        task = release.publisher().send_task(f"{TASKS}.exhaust_memory_for_ever").id
        assert eventually(lambda: bool(_dead(vhost_broker)), seconds=60)
    (letter,) = dead_letters(vhost_broker.amqp_url, "main.dead")
    assert (letter.id, letter.reason) == (task, "poison")
    assert len(release.effects(task)) == 2


def shared(redis: Redis) -> dict[str, str]:
    """What a worker is told of Redis."""
    return {"CELERY_WORKERS_REDIS_URL": redis.url}


def _dead(broker: Broker) -> list[str]:
    return [letter.id for letter in dead_letters(broker.amqp_url, "main.dead")]
