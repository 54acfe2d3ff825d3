"""Tasks that meet an open breaker wait, go back to their queue, and all do their work once it closes."""

from __future__ import annotations

import collections
import time
from pathlib import Path

import pytest

from benchmarks import workers
from celery_workers.breaker import CircuitBreaker, set_override
from celery_workers.shared import SharedRedis
from celery_workers.topology import REDIS_URL_VARIABLE
from harness.broker.management import dead_letters
from harness.broker.server import Broker
from harness.services.redis import Redis
from tests.local.test_workers import GEVENT_OR_FULL, POOLS
from tests.local.worker_release import ReleaseUnderTest, eventually

APP = "tests.local.user_apps.guarded"
RESET_SECONDS = 3.0


def install(pool: str, broker: Broker, directory: Path, prefix: str) -> ReleaseUnderTest:
    topology = workers.make_topology(
        app=f"{APP}:app",
        classes={"work": workers.make_class(pool, POOLS[pool], "main")},
        queues={"main": workers.make_queue("work", dead_letter_queue="main.dead", max_length_messages=60)},
        routes=[{"task": "*", "queue": "main", "priority": 5}],
    )
    return ReleaseUnderTest.install(broker, directory, {**topology, "redis_key_prefix": prefix})


@pytest.mark.parametrize("pool", GEVENT_OR_FULL)
def test_none_is_lost_doubled_or_dead_while_it_is_open(
    pool: str, vhost_broker: Broker, redis: Redis, shared: SharedRedis, tmp_path: Path
) -> None:
    release = install(pool, vhost_broker, tmp_path, shared.prefix)
    environment = {REDIS_URL_VARIABLE: redis.url, "RESET_SECONDS": str(RESET_SECONDS)}
    with release.worker("work", environment=environment):
        breaker = CircuitBreaker("orders", redis=shared, reset_seconds=RESET_SECONDS)
        for _ in range(5):
            breaker.record_failure()
        opened_at = time.time()
        publisher = release.publisher()
        ids = {publisher.send_task(f"{APP}.book").id for _ in range(60)}  # as many as the queue takes
        assert eventually(lambda: {note["id"] for note in release.effects()} == ids)
        assert eventually(lambda: release.depth("main") == 0)
    assert collections.Counter(note["id"] for note in release.effects()) == dict.fromkeys(ids, 1)
    assert min(note["at"] for note in release.effects()) >= opened_at + RESET_SECONDS - 0.5
    assert dead_letters(vhost_broker.amqp_url, "main.dead") == []
    assert any(note["came_back"] for note in release.effects())  # waited in vain first


def test_a_task_acknowledged_early_fails_where_it_could_not_go_back(
    vhost_broker: Broker, redis: Redis, shared: SharedRedis, tmp_path: Path
) -> None:
    release = install("threads", vhost_broker, tmp_path, shared.prefix)
    set_override(shared, "orders", mode="open")
    environment = {REDIS_URL_VARIABLE: redis.url, "RESET_SECONDS": str(RESET_SECONDS)}
    with release.worker("work", environment=environment) as worker:
        release.publisher().send_task(f"{APP}.book_early")
        assert eventually(lambda: "BreakerOpen" in worker.log.read_text())
    assert release.effects() == []
