"""Emergency commands that workers have to follow, on real workers, for those that start later too."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from celery import Celery

from celery_workers.breaker import CircuitBreaker
from celery_workers.shared import SharedRedis
from harness import tools
from harness.broker.server import Broker
from harness.chart import yaml_strict
from harness.ops import runs
from harness.services.redis import Redis
from harness.spike.local_release import local_release
from harness.spike.progress import SilentProgress
from tests.local.test_ops import LocalRun

# In one process: each would start a release of its own.
pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("ops workers")]

DEPLOYMENT = "celery-notes-worker"
CLASS = {
    "pool": "threads",
    "concurrency": 4,
    "scaler": "hpa",
    "targets": {"cpuUtilization": None, "memoryUtilization": 90},
    "replicas": {"min": 1, "max": 2},
    "queues": {"notes": {"maxPriority": 9, "maxLength": 1000, "messageTtl": "1h"}},
    "drainSeconds": 5,
    "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"}},
}


@dataclass
class Workers(LocalRun):
    """A release with one class whose tasks leave lines."""

    app: Celery
    notes: Path
    redis_url: str

    def publish(self, word: str, count: int = 1) -> None:
        for _ in range(count):
            self.app.send_task("note", args=[word], queue="notes")

    def times(self, word: str) -> list[float]:
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [float(line.split()[1]) for line in lines if line.split()[0] == word]

    def ran(self, word: str, count: int = 1, *, seconds: float = 15.0) -> bool:
        """Whether so many have run within the time, the runtime going on."""
        deadline = time.monotonic() + seconds
        while len(self.times(word)) < count and time.monotonic() < deadline:
            self.go_on(0.05)
        return len(self.times(word)) >= count

    def go_on(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.runtime.tick()
            time.sleep(0.02)


@pytest.fixture(scope="module")
def workers(broker: Broker, redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """The release, run as `harness local` runs it, on the session's broker and Redis."""
    directory = tmp_path_factory.mktemp("ops")
    values = directory / "values.yaml"
    notes = directory / "notes.txt"
    document = {
        "app": "tests.local.ops_app",
        "image": {"repository": "notes", "tag": "1"},
        "env": [],
        "envFrom": [{"secretRef": {"name": "examx-services"}}],
        "defaultQueue": "notes",
        "routes": [],
        "environment": "prod",
        "workers": {"io": None, "cpu": None, "mixed": None, "notes": CLASS},
    }
    values.write_text(yaml_strict.dump_all([document]))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("BROKER_URL", broker.amqp_url)
        environment.setenv("BROKER_MANAGEMENT_URL", broker.management_url)
        environment.setenv("REDIS_URL", redis.url)
        environment.setenv("HELM", str(tools.find_helm()))
        environment.setenv("XDG_CACHE_HOME", str(directory / "cache"))
        environment.setattr("harness.spike.services.Services.secret", lambda _: {"NOTES_FILE": str(notes)})
        with local_release(
            f"ops-{os.getpid()}",
            values=[values],
            set_values={"redis.keyPrefix": directory.name},  # the session's Redis is others' too
            directory=directory / "run",
            progress=SilentProgress(),
        ) as release:
            app = Celery(broker=runs.find(None).amqp_url, set_as_current=False)
            app.conf.task_queue_max_priority = 9
            app.conf.task_create_missing_queues = True
            yield Workers(release.ground.runtime, dict(os.environ), app, notes, redis.url)


def test_a_paused_queue_rests_for_those_that_start_later_too_and_goes_on(workers: Workers) -> None:
    workers.publish("before")
    assert workers.ran("before")
    workers.ops("pause", "notes", "--for", "1h")
    workers.publish("meanwhile", 3)
    workers.runtime.scale(DEPLOYMENT, 2)
    workers.runtime.wait_ready(timeout_seconds=60)  # a pod that starts while the queue rests is ready as well
    workers.go_on(4)  # two looks of the workers at their orders
    assert workers.times("meanwhile") == []
    (queue,) = workers.answer("status")["queues"]
    assert (queue["paused"], queue["consumers"], queue["ready"]) == (True, 0, 3)
    (pool,) = workers.answer("status")["pools"]
    assert (pool["held"], pool["ready"]) == (True, 2)
    workers.ops("resume", "notes")
    assert workers.ran("meanwhile", 3)
    assert not workers.answer("status")["pools"][0]["held"]
    assert "it is not paused" in workers.ops("resume", "notes", code=2)


def test_a_rate_holds_over_all_workers_together_and_ends_by_itself(workers: Workers) -> None:
    workers.ops("rate-limit", "note", "2/s")
    assert workers.answer("status")["rates"] == {"note": "2/s"}
    workers.go_on(4)  # two looks of the workers at their orders
    began = time.time()
    workers.publish("limited", 200)
    assert workers.ran("limited", 8)
    assert len(workers.times("limited")) <= at_most(2, since=began)  # alone each worker would have done all
    until = workers.answer("rate-limit", "note", "2/s", "--for", "3s")["override"]["until"]
    assert workers.ran("limited", 200, seconds=60)  # at 2/s they would take 100
    before_its_end = [at for at in workers.times("limited") if at < until]
    assert len(before_its_end) <= at_most(2, since=began, until=until)
    found = workers.answer("status")
    assert (found["rates"], found["overrides"]) == ({}, [])


def at_most(per_second: float, *, since: float, until: float | None = None) -> float:
    """How many tasks a rate lets go from one time to another, the first at once; a limit makes up for 0.25 s."""
    seconds = (time.time() if until is None else until) - since
    return 1 + per_second * (seconds + 0.25)


@pytest.mark.full
def test_a_rate_for_each_worker_by_itself_is_told_to_those_there(workers: Workers) -> None:
    workers.ops("rate-limit", "note", "1/m", "--per-worker", "--for", "1h")
    workers.publish("single", 4)
    workers.go_on(3)
    assert 1 <= len(workers.times("single")) < 4
    workers.ops("undo")
    workers.publish("free", 4)
    assert workers.ran("free", 4)
    assert "no worker that answers knows" in workers.ops("rate-limit", "nope", "1/m", "--per-worker", code=2)


@pytest.mark.full
def test_a_breaker_is_overridden_for_all_processes_and_put_back(workers: Workers) -> None:
    prefix = runs.find(None).topology["redis_key_prefix"]
    breaker = CircuitBreaker("orders-db", redis=SharedRedis(workers.redis_url, prefix=prefix))
    assert not breaker.is_open()
    breaker.record_success()
    workers.ops("breaker", "orders-db", "--open")
    assert breaker.is_open()
    assert workers.answer("status")["breakers"]["orders-db"]["state"] == "open"
    workers.ops("undo")
    workers.ops("breaker", "orders-db", "--close")
    assert not breaker.is_open()
    assert workers.answer("status")["breakers"]["orders-db"]["override"]["mode"] == "closed"
    workers.ops("undo")
    assert not breaker.is_open()
    breaker.record_success()
    workers.ops("breaker", "orders-db", "--threshold", "20", "--for", "1h")
    assert breaker.failure_threshold == 20
    left = workers.answer("status")["breakers"]["orders-db"]["override"]["left_seconds"]
    assert 3500 < left <= 3600
    workers.ops("undo")
    assert breaker.failure_threshold == 5
    assert "--threshold N, --open or --close" in workers.ops("breaker", "orders-db", code=2)


def test_an_end_that_would_lose_what_somebody_has_set_is_refused(workers: Workers) -> None:
    prefix = runs.find(None).topology["redis_key_prefix"]
    shared = SharedRedis(workers.redis_url, prefix=prefix)
    shared.ask(lambda client: (client.set(shared.key("rate", "other"), "5/s"), client.sadd(f"{prefix}:rates", "other")))
    assert "would be lost" in workers.ops("rate-limit", "other", "1/s", "--for", "1m", code=2)
    workers.ops("rate-limit", "other", "1/s")
    workers.ops("undo")
    assert workers.answer("status")["rates"] == {"other": "5/s"}
    shared.ask(lambda client: client.delete(shared.key("rate", "other")))
