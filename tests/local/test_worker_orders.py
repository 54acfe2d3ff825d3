"""Workers follow the orders of the person on call: queues rest, tasks slow down, nothing is lost with it."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as client
from kombu import pools

from benchmarks.workers import Worker
from harness.broker.management import Management
from harness.broker.server import Broker
from harness.services.redis import Redis
from tests.local.test_workers import GEVENT_OR_FULL, close_connections, make_topology
from tests.local.worker_release import ReleaseUnderTest, eventually

pytestmark = pytest.mark.timeout(120)

TASKS = "tests.local.user_apps.plain"


class Orders:
    """The file that the ConfigMap of orders is mounted as."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {"CELERY_WORKERS_OPS_DIR": str(directory)}
        directory.mkdir()

    def pause(self, *queues: str) -> None:
        self.write(json.dumps({"queues": queues}))

    def write(self, text: str) -> None:
        written = self.directory / "new"
        written.write_text(text)
        written.rename(self.directory / "paused.json")


class Rates:
    """Rates in Redis, as `harness ops rate-limit` leaves them there."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self.client = client.Redis.from_url(redis.url)
        self.prefix = prefix
        self.environment = {"CELERY_WORKERS_REDIS_URL": redis.url}

    def set(self, task: str, rate: str) -> None:
        self.client.set(f"{self.prefix}:rate:{task}", rate)
        self.client.sadd(f"{self.prefix}:rates", task)

    def clear(self, task: str) -> None:
        self.client.delete(f"{self.prefix}:rate:{task}")


def follows(worker: Worker, rates: str) -> bool:
    """Whether a worker has said that it follows these rates."""
    return f"rates by order: {rates}\n" in worker.log.read_text()


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    return Orders(tmp_path / "orders")


@pytest.fixture
def rates(redis: Redis, redis_prefix: str) -> Iterator[Rates]:
    made = Rates(redis, redis_prefix)
    with made.client:
        yield made


@pytest.mark.parametrize("pool", GEVENT_OR_FULL)
def test_queue_rests_and_goes_on(pool: str, vhost_broker: Broker, orders: Orders, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(pool))
    publisher = release.publisher()

    def consumers(queue: str) -> int:
        with Management(vhost_broker.management_url) as api:
            return int(next(one for one in api.queue_documents() if one["name"] == queue).get("consumers", 0))

    orders.pause("main", "of-another-class")
    with release.worker("work", environment=orders.environment) as worker:
        waiting = publisher.send_task(f"{TASKS}.send_mail").id
        report = publisher.send_task("reports.monthly.build").id
        assert eventually(lambda: bool(release.effects(report)))
        assert worker.is_ready()
        assert release.effects(waiting) == []

        orders.pause("side")
        assert eventually(lambda: bool(release.effects(waiting)))
        assert eventually(lambda: consumers("side") == 0 and consumers("main") == 1)

        ready_at = (worker.state / "ready").stat().st_mtime_ns
        close_connections(vhost_broker)
        ready = worker.state / "ready"
        assert eventually(lambda: ready.exists() and ready.stat().st_mtime_ns > ready_at)
        pools.reset()  # the publisher's connection was closed too
        mail = release.publisher().send_task(f"{TASKS}.send_mail").id
        assert eventually(lambda: bool(release.effects(mail)))
        assert consumers("side") == 0  # a reconnect is no reason to go on

        orders.write("{not JSON")
        report = release.publisher().send_task("reports.monthly.build").id
        time.sleep(2.5)  # one look
        assert release.effects(report) == []
        orders.pause()
        assert eventually(lambda: bool(release.effects(report)))


@pytest.mark.parametrize("pool", [pytest.param("prefork", marks=pytest.mark.full), "gevent"])
def test_rate_holds_over_all_workers(
    pool: str, vhost_broker: Broker, rates: Rates, redis_prefix: str, tmp_path: Path
) -> None:
    """Also over one that starts later. What is not limited goes on; what is lifted goes at once."""
    topology = {**make_topology(pool), "redis_key_prefix": redis_prefix}
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, topology)
    publisher = release.publisher()
    rates.set("send_mail", "4/s")  # behind its module path too
    with release.worker("work", pod="pod-0", environment=rates.environment) as first:
        assert eventually(lambda: follows(first, "send_mail 4/s"))
        with release.worker("work", pod="pod-1", environment=rates.environment) as second:
            assert eventually(lambda: follows(second, "send_mail 4/s"))
            for _ in range(13):
                publisher.send_task(f"{TASKS}.send_mail")
            report = publisher.send_task("reports.monthly.build").id
            assert eventually(lambda: bool(release.effects(report)))
            assert eventually(lambda: len(release.effects()) == 14)
            begun = sorted(note["at"] for note in release.effects() if note["task"].endswith("send_mail"))
            assert begun[-1] - begun[0] >= 12 / 4 - 0.5  # never faster, all together
            rates.set("send_mail", "1/h")
            assert eventually(lambda: follows(first, "send_mail 1/h") and follows(second, "send_mail 1/h"))
            held = {publisher.send_task(f"{TASKS}.send_mail").id for _ in range(6)}
            time.sleep(1)
            assert len([one for one in held if release.effects(one)]) <= 1
            rates.clear("send_mail")
            assert eventually(lambda: all(release.effects(one) for one in held))


@pytest.mark.parametrize("pool", [pytest.param("prefork", marks=pytest.mark.full), "gevent"])
def test_what_a_rate_holds_back_is_bounded_and_not_lost(
    pool: str, vhost_broker: Broker, rates: Rates, redis_prefix: str, tmp_path: Path
) -> None:
    topology = {**make_topology(pool, concurrency=3), "redis_key_prefix": redis_prefix}
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, topology)
    publisher = release.publisher()
    rates.set(f"{TASKS}.send_mail", "1/h")
    with release.worker("work", environment=rates.environment) as worker:
        assert eventually(lambda: follows(worker, f"{TASKS}.send_mail 1/h"))
        sent = {publisher.send_task(f"{TASKS}.send_mail").id for _ in range(10)}
        assert eventually(lambda: len(release.effects()) == 1)
        with Management(vhost_broker.management_url) as api:
            assert eventually(lambda: api.depths()["main"].unacked == 3)
            time.sleep(0.5)
            assert api.depths()["main"].unacked == 3
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(30) == 0
    assert eventually(lambda: release.depth("main") == 9)
    with release.worker("work", pod="pod-1"):  # without Redis
        assert eventually(lambda: {note["id"] for note in release.effects()} == sent)
