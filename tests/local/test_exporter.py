"""The exporter, against a real RabbitMQ and real workers of each pool."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import pools

from benchmarks import workers
from benchmarks.exporting import Exporter, run_exporter
from celery_workers.breaker import CircuitBreaker, set_override
from celery_workers.shared import SharedRedis
from harness.broker.management import Management, dead_letters
from harness.broker.server import Broker, own_node
from harness.services.redis import Redis
from tests.local.test_workers import GEVENT_OR_FULL, POOLS, make_topology
from tests.local.worker_release import ReleaseUnderTest, eventually

pytestmark = pytest.mark.timeout(180)

TASKS = "tests.local.user_apps.plain"


@contextlib.contextmanager
def exporting(release: ReleaseUnderTest, **options: Any) -> Iterator[Exporter]:
    """Run the release's exporter, once it reads events and watches dead letters."""
    options.setdefault("management_url", release.broker.management_url)
    with run_exporter(release.config, release.broker.amqp_url, release.directory, **options) as exporter:
        assert eventually(lambda: exporter.value("celery_workers_exporter_up") == 1), exporter.log.read_text()
        assert eventually(lambda: exporter.value("celery_workers_dead_letters_total") == 0), exporter.log.read_text()
        yield exporter


def ended(exporter: Exporter, outcome: str, task: str, queue: str = "main") -> float | None:
    return exporter.value(
        "celery_workers_tasks_total", **{"class": "work"}, queue=queue, task=f"{TASKS}.{task}", outcome=outcome
    )


@pytest.mark.parametrize("pool", GEVENT_OR_FULL)
def test_tasks_of_each_pool(pool: str, vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(pool))
    publisher = release.publisher()
    with exporting(release) as exporter, release.worker("work") as worker:
        for name, kwargs in (
            ("send_mail", {"seconds": 1.0}),
            ("send_mail", {}),
            ("fail", {}),
            ("retry_once", {"seconds": 0.0}),
            ("refuse", {}),
        ):
            publisher.send_task(f"{TASKS}.{name}", kwargs=kwargs)
        publisher.send_task("reports.monthly.build")
        assert eventually(lambda: ended(exporter, "succeeded", "retry_once") == 1), exporter.text()
        assert eventually(lambda: ended(exporter, "succeeded", "send_mail") == 2)
        assert (ended(exporter, "failed", "send_mail"), ended(exporter, "rejected", "send_mail")) == (0, 0)
        assert (ended(exporter, "failed", "fail"), ended(exporter, "rejected", "fail")) == (1, 0)
        assert (ended(exporter, "retried", "retry_once"), ended(exporter, "failed", "retry_once")) == (1, 0)
        assert (ended(exporter, "rejected", "refuse"), ended(exporter, "failed", "refuse")) == (1, 0)
        assert exporter.value("celery_workers_tasks_total", queue="side", outcome="succeeded") == 1
        runs = exporter.value("celery_workers_task_run_seconds_sum", task=f"{TASKS}.send_mail")
        assert runs is not None
        assert 1.0 <= runs < 10.0
        latency = exporter.value("celery_workers_task_latency_seconds_sum", queue="main")
        assert latency is not None
        assert latency >= runs
        assert exporter.value("celery_workers_task_latency_seconds_count", queue="main") == 3

        assert eventually(lambda: exporter.value("celery_workers_workers", **{"class": "work"}) == 1)
        assert eventually(lambda: exporter.value("celery_workers_tasks_active", **{"class": "work"}) == 0)
        publisher.send_task(f"{TASKS}.hang", kwargs={"seconds": 4})
        assert eventually(lambda: exporter.value("celery_workers_tasks_active", **{"class": "work"}) == 1)
        assert eventually(lambda: exporter.value("celery_workers_tasks_active", **{"class": "work"}) == 0)
        worker.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: exporter.value("celery_workers_workers", **{"class": "work"}) == 0)
    assert "Traceback" not in exporter.log.read_text()


def letters(exporter: Exporter, reason: str, queue: str = "main") -> float | None:
    return exporter.value("celery_workers_dead_letters_total", queue=queue, reason=reason)


def test_dead_letters_are_counted_and_stay(vhost_broker: Broker, tmp_path: Path) -> None:
    """Workers' own, with their reason, and those that RabbitMQ moves; an exporter that was away counts them too."""
    topology = make_topology("prefork", hard_time_limit_seconds=2)
    topology["queues"]["side"]["message_ttl_seconds"] = 1
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, topology)
    publisher = release.publisher()
    with exporting(release) as exporter:
        publisher.send_task("reports.monthly.build")  # nobody takes it
        assert eventually(lambda: letters(exporter, "expired", "side") == 1), exporter.text()
        assert eventually(lambda: exporter.value("celery_workers_queue_ttl_seconds", queue="side") == 1)
    with release.worker("work"):
        publisher.send_task(f"{TASKS}.fail")
        publisher.send_task("nobody.has.this")
        publisher.send_task(f"{TASKS}.hang", kwargs={"seconds": 30})
        assert eventually(lambda: len(dead_letters(vhost_broker.amqp_url, "main.dead")) == 3)
        with exporting_again(release) as exporter:
            for reason in ("failed", "unknown", "timeout"):
                assert eventually(lambda reason=reason: letters(exporter, reason) == 1), (reason, exporter.text())
            assert exporter.value("celery_workers_dead_letters_total") == 3
    assert len(dead_letters(vhost_broker.amqp_url, "main.dead")) == 3
    assert len(dead_letters(vhost_broker.amqp_url, "side.dead")) == 1


@contextlib.contextmanager
def exporting_again(release: ReleaseUnderTest) -> Iterator[Exporter]:
    """Run another exporter: the counts of the first one are gone, what came meanwhile is not."""
    with run_exporter(release.config, release.broker.amqp_url, release.directory, name="again") as exporter:
        assert eventually(lambda: exporter.value("celery_workers_exporter_up") == 1), exporter.log.read_text()
        yield exporter


def test_queues_as_the_broker_has_them(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("prefork"))
    with exporting(release) as exporter:
        assert eventually(lambda: exporter.value("celery_workers_queue_limit_messages", queue="main") == 5000)
        assert exporter.value("celery_workers_worker_concurrency", **{"class": "work"}) == POOLS["prefork"]
        (labels,) = exporter.series("celery_workers_queue_info", queue="main")
        assert dict(labels) == {"class": "work", "dead_letter_queue": "main.dead", "max_priority": "9"}
        assert eventually(lambda: exporter.value("celery_workers_queue_policy_missing") == 0)
        assert exporter.value("celery_workers_queue_oldest_seconds", queue="main") == 0
        release.publisher().send_task(f"{TASKS}.send_mail")
        assert eventually(lambda: (exporter.value("celery_workers_queue_oldest_seconds", queue="main") or 0) >= 2)
        assert eventually(
            lambda: exporter.value("celery_workers_queue_messages_total", queue="main", event="published") == 1
        )


@pytest.mark.full
def test_a_policy_that_changes_or_goes_shows(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("prefork"))
    with exporting(release) as exporter:
        assert eventually(lambda: exporter.value("celery_workers_queue_policy_missing") == 0)
        with Management(vhost_broker.management_url) as api:
            (name,) = (one for one, policy in api.policies().items() if policy["pattern"] == "^main$")
            definition = api.policies()[name]["definition"]
            api.put_policy(name, pattern="^main$", definition={**definition, "max-length": 70}, priority=100)
            assert eventually(lambda: exporter.value("celery_workers_queue_limit_messages", queue="main") == 70)
            api.put_policy(name, pattern="^another$", definition=definition)
            assert eventually(lambda: exporter.value("celery_workers_queue_policy_missing", queue="main") == 1)
        assert exporter.value("celery_workers_queue_policy_missing", queue="side") == 0


def test_queues_that_rest_by_order(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("prefork"))
    orders = tmp_path / "ops"
    orders.mkdir()
    with exporting(release, environment={"CELERY_WORKERS_OPS_DIR": str(orders)}) as exporter:

        def rests(queue: str) -> float | None:
            return exporter.value("celery_workers_queue_paused", **{"class": "work"}, queue=queue)

        assert (rests("main"), rests("side")) == (0, 0)
        (orders / "paused.json").write_text('{"queues": ["main"]}')
        assert eventually(lambda: rests("main") == 1)
        assert rests("side") == 0
        (orders / "paused.json").write_text("[")  # half an order changes nothing
        assert rests("main") == 1
        assert "cannot be read" in exporter.log.read_text()
        (orders / "paused.json").unlink()
        assert eventually(lambda: rests("main") == 0)


def test_without_the_management_api_nothing_is_made_up(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("prefork"))
    with exporting(release, management_url=None) as exporter:
        assert exporter.value("celery_workers_queue_limit_messages", queue="main") == 5000
        assert exporter.value("celery_workers_queue_oldest_seconds") is None
        assert exporter.value("celery_workers_queue_policy_missing") is None
        assert exporter.value("celery_workers_breaker_open") is None
        assert exporter.value("celery_workers_queue_paused") is None


@pytest.mark.full  # worker_files/test_tally.py has it with a clock of its own
def test_a_worker_that_is_killed_leaves_no_series(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("prefork"))
    with exporting(release) as exporter:
        with release.worker("work"), release.worker("work", pod="pod-1"):
            release.publisher().send_task(f"{TASKS}.hang", kwargs={"seconds": 60})
            assert eventually(lambda: exporter.value("celery_workers_workers", **{"class": "work"}) == 2)
            assert eventually(lambda: exporter.value("celery_workers_tasks_active", **{"class": "work"}) == 1)
        assert eventually(lambda: exporter.value("celery_workers_workers", **{"class": "work"}) == 0, seconds=40)
        assert exporter.value("celery_workers_tasks_active", **{"class": "work"}) == 0


def test_events_that_are_off_show(vhost_broker: Broker, tmp_path: Path) -> None:
    """Heartbeats go on: tasks are begun that nobody says the end of."""
    topology = make_topology("prefork")
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, topology)
    arguments = workers.worker_arguments("work", topology["classes"]["work"], "quiet")
    arguments.remove("--task-events")
    quiet = workers.run_worker(
        release.config,
        vhost_broker.amqp_url,
        tmp_path,
        worker_class="work",
        pod="quiet",
        python_path=(workers.ROOT,),
        environment={"EFFECTS_FILE": str(release.effects_file)},
        arguments=arguments,
        grace_seconds=0.0,
    )
    with exporting(release) as exporter, quiet as worker:
        worker.wait_ready()
        assert eventually(lambda: exporter.value("celery_workers_workers") == 1)
        release.publisher().send_task(f"{TASKS}.send_mail")
        assert eventually(lambda: exporter.value("celery_workers_processed_total", **{"class": "work"}) == 1)
        assert exporter.value("celery_workers_tasks_total") is None


@pytest.mark.full
def test_publishers_that_send_events_make_latency_exact(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("threads"))
    app = release.publisher()
    app.conf.task_send_sent_event = True
    with exporting(release) as exporter, release.worker("work"):
        app.send_task(f"{TASKS}.send_mail", kwargs={"seconds": 1.0}, countdown=3)
        assert eventually(lambda: exporter.value("celery_workers_task_latency_seconds_count") == 1)
        latency = exporter.value("celery_workers_task_latency_seconds_sum")
        assert latency is not None
        assert 1.0 <= latency < 3.0  # the delay that was asked for is none of it


@pytest.mark.full
def test_a_connection_that_is_cut(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("prefork"))
    with exporting(release) as exporter, Management(vhost_broker.management_url) as api:
        assert eventually(lambda: len(api.connections()) == 2)  # one for events, one for dead letters
        for name in api.connections():
            api.close_connection(name)
        assert eventually(lambda: exporter.log.read_text().count("ConnectionForced") == 2), exporter.log.read_text()
        assert eventually(lambda: exporter.value("celery_workers_exporter_up") == 1)
        with release.worker("work"):
            release.publisher().send_task(f"{TASKS}.send_mail")
            release.publisher().send_task(f"{TASKS}.fail")
            assert eventually(lambda: ended(exporter, "succeeded", "send_mail") == 1)
            assert eventually(lambda: letters(exporter, "failed") == 1)
        assert exporter.value("celery_workers_exporter_up") == 1


@pytest.mark.full
def test_a_broker_that_restarts(tmp_path: Path) -> None:
    """While it is away nothing is said of workers; counts go on afterwards."""
    with own_node(tmp_path / "broker") as broker:
        look_at_a_restart(broker, tmp_path)


def look_at_a_restart(broker: Broker, directory: Path) -> None:
    control = broker.control
    assert control is not None
    release = ReleaseUnderTest.install(broker, directory, make_topology("threads"))
    with exporting(release) as exporter, release.worker("work"):
        release.publisher().send_task(f"{TASKS}.send_mail")
        assert eventually(lambda: ended(exporter, "succeeded", "send_mail") == 1)
        assert eventually(lambda: exporter.value("celery_workers_workers") == 1)
        control.signal(signal.SIGKILL)
        assert eventually(lambda: exporter.value("celery_workers_exporter_up") == 0)
        assert exporter.value("celery_workers_workers") is exporter.value("celery_workers_tasks_active") is None
        assert ended(exporter, "succeeded", "send_mail") == 1
        assert eventually(lambda: not control.runs)
        control.start()
        assert eventually(control.answers, seconds=60)
        assert eventually(lambda: exporter.value("celery_workers_exporter_up") == 1, seconds=40)
        assert eventually(lambda: exporter.value("celery_workers_workers") == 1, seconds=40)
        pools.reset()
        release.publisher().send_task(f"{TASKS}.send_mail")
        release.publisher().send_task(f"{TASKS}.fail")
        assert eventually(lambda: ended(exporter, "succeeded", "send_mail") == 2)
        assert eventually(lambda: letters(exporter, "failed") == 1)


def test_breakers_that_are_open(vhost_broker: Broker, redis: Redis, redis_prefix: str, tmp_path: Path) -> None:
    topology = {**make_topology("prefork"), "redis_key_prefix": redis_prefix}
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, topology)
    shared = SharedRedis(redis.url, prefix=redis_prefix)
    orders = CircuitBreaker("orders", redis=shared, failure_threshold=1, reset_seconds=60)
    students = CircuitBreaker("students", redis=shared, reset_seconds=60)
    with exporting(release, environment={"CELERY_WORKERS_REDIS_URL": redis.url}) as exporter:
        assert students.is_open() is orders.is_open() is False
        orders.record_failure()
        assert eventually(lambda: exporter.value("celery_workers_breaker_open", breaker="orders") == 1)
        assert exporter.value("celery_workers_breaker_open", breaker="students") == 0
        set_override(shared, "students", mode="open")
        set_override(shared, "orders", mode="closed")
        assert eventually(lambda: exporter.value("celery_workers_breaker_open", breaker="students") == 1)
        assert exporter.value("celery_workers_breaker_open", breaker="orders") == 0
