"""A database that dies under work, and a service that fails: breakers open, tasks wait, all of them are done."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from celery_workers.breaker import BreakerStatus, list_breakers, read_breaker
from celery_workers.shared import SharedRedis
from examx import breakers, database, effects, retry, schema
from examx.services import post
from harness.broker.server import Broker
from harness.services import postgresql as postgresql_service
from harness.services.redis import Redis
from tests.local.examx.running import Standins, wait_for
from tests.local.examx.test_worker import mounted as mounted
from tests.local.examx.test_worker import outside, publish, worker

TASK = "process_exam_auto_submit"


@pytest.fixture
def own_redis(redis: Redis, redis_prefix: str, tmp_path: Path) -> Iterator[SharedRedis]:
    """The session's Redis; the topology.json beside gives workers the same prefix."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "topology.json").write_text(f'{{"redis_key_prefix": "{redis_prefix}"}}')
    made = SharedRedis(redis.url, prefix=redis_prefix, timeout_seconds=10)  # on a busy machine it is slow, not away
    yield made
    made.close()


def status(shared: SharedRedis, name: str) -> BreakerStatus:
    """Where a breaker stands that some process has used."""
    return {one.name: one for one in list_breakers(shared)}[name]


@pytest.mark.full
@pytest.mark.timeout(180)
def test_tasks_wait_for_a_database_that_died_and_all_are_done(
    vhost_broker: Broker,
    mounted: str,
    redis: Redis,
    own_redis: SharedRedis,
    session_standins: Standins,
    tmp_path: Path,
) -> None:
    ids = [f"exam-{number}" for number in range(40)]
    with postgresql_service.home(tmp_path / "postgresql") as home, postgresql_service.serve(home) as first:
        env = outside(
            session_standins,
            tmp_path,
            CELERY_BROKER_URL=vhost_broker.amqp_url,
            PYTHONPATH=mounted,
            CELERY_WORKERS_REDIS_URL=redis.url,
            CELERY_WORKERS_CONFIG_DIR=str(tmp_path / "config"),
        ) | {"EXAMX_DATABASE_URL": first.url}
        with worker(env, "--pool=gevent", "--concurrency=50", "--loglevel=INFO", log=tmp_path / "log"):
            publish(env, TASK, ids[:10])
            wait_for(lambda: len(effects.markers_after(database_url=first.url)) == 10, "the first tasks")
            assert first.pid is not None
            os.kill(first.pid, signal.SIGKILL)
            publish(env, TASK, ids[10:])
            wait_for(lambda: status(own_redis, "database-postgres").state != "closed", "the breaker's opening")
            with postgresql_service.serve(home, port=urlsplit(first.url).port) as second:
                wait_for(lambda: len(effects.markers_after(database_url=second.url)) == 40, "the other tasks")
                rows = database.read(
                    lambda c: list(c.execute(select(schema.submissions.c.task_id)).scalars()), database_url=second.url
                )
    assert Counter(rows) == dict.fromkeys(ids, 30)  # each exam's 30 papers once
    healed = status(own_redis, "database-postgres")
    assert (healed.state, healed.opened >= 1) == ("closed", True)


@pytest.fixture
def own_breakers(redis: Redis, own_redis: SharedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's tasks have breakers, of this test alone and quick to try again."""
    monkeypatch.setenv("CELERY_WORKERS_REDIS_URL", redis.url)
    monkeypatch.setenv("CELERY_WORKERS_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setattr(breakers, "RESET_SECONDS", 0.5)
    breakers._breaker.cache_clear()


@pytest.mark.usefixtures("own_breakers")
def test_a_service_that_fails_is_left_alone_and_its_callers_get_their_answer(
    services: Standins, own_redis: SharedRedis
) -> None:
    services.set_profile(php={"error_ratio": 1.0})
    calls = [f"call-{number}" for number in range(6)]
    with ThreadPoolExecutor(len(calls)) as pool:
        answers = [pool.submit(post, "php", {"student": 1, "answer": "x"}, task_id=call) for call in calls]
        # Maybe no call has come so far as to ask the breaker; and soon after its opening it is half-open.
        wait_for(lambda: read_breaker(own_redis, "service-php").opened, "the breaker's opening")
        services.set_profile(php={})
        assert all("score" in answer.result(60) for answer in answers)
    assert status(own_redis, "service-php").state == "closed"


@pytest.mark.usefixtures("own_breakers")
def test_a_service_that_says_not_so_fast_is_well(own_redis: SharedRedis) -> None:
    def busy() -> None:
        raise retry.BusyError("429")

    for _ in range(20):
        with pytest.raises(retry.BusyError):
            breakers.guarded("service-php", busy)
    assert status(own_redis, "service-php").state == "closed"


def test_without_redis_there_is_no_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CELERY_WORKERS_REDIS_URL", raising=False)

    def failing() -> None:
        raise retry.TemporaryError("away")

    for _ in range(20):
        with pytest.raises(retry.TemporaryError, match="away"):
            breakers.guarded("service-none", failing)
    assert breakers.is_open("service-none") is None
