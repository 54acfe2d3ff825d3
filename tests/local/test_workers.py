"""The shim runs applications unchanged, on every pool, and keeps their tasks."""

from __future__ import annotations

import collections
import functools
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from celery.exceptions import OperationalError, QueueNotFound
from kombu import pools

from benchmarks import workers
from celery_workers import Publisher
from harness import processes
from harness.broker.management import Management, dead_letters
from harness.broker.server import Broker
from tests.local.silent_proxy import SilentProxy
from tests.local.worker_release import ReleaseUnderTest, eventually

pytestmark = pytest.mark.timeout(120)

APP = "tests.local.user_apps.plain:app"
POOLS = {"prefork": 2, "gevent": 20, "threads": 4}
# Threads run prefork's loop, so where the pool changes little they are for `make test-full`.
EACH_POOL = [pytest.param(pool, marks=pytest.mark.full) if pool == "threads" else pool for pool in POOLS]
# Where what is asserted is the broker's doing, or of what all pools share, one pool is enough for `make test`.
GEVENT_OR_FULL = [pool if pool == "gevent" else pytest.param(pool, marks=pytest.mark.full) for pool in POOLS]
ROUTES = [
    {"task": "send_mail", "queue": "main", "priority": 8},
    {"task": "reports.*", "queue": "side", "priority": 2},
]


def make_topology(pool: str, *, app: str = APP, **changes: object) -> workers.Topology:
    """One class of the pool with two queues; `changes` are the class's."""
    concurrency = changes.pop("concurrency", POOLS[pool])
    assert isinstance(concurrency, int)
    return workers.make_topology(
        app=app,
        classes={"work": workers.make_class(pool, concurrency, "main", "side", **changes)},
        queues={name: workers.make_queue("work", dead_letter_queue=f"{name}.dead") for name in ("main", "side")},
        routes=ROUTES,
    )


def close_connections(broker: Broker) -> None:
    """Have the broker close every connection to the virtual host, as it does when it restarts."""
    with Management(broker.management_url) as api:
        assert eventually(lambda: len(api.connections()) >= 2)
        for name in api.connections():
            api.close_connection(name)


MANAGER = """
import multiprocessing, time
import multiprocessing.util
manager = multiprocessing.Manager()  # listens on a socket in it
print(multiprocessing.util.get_temp_dir(), flush=True)
time.sleep(60)
"""


def test_what_a_killed_worker_leaves_in_its_temporary_directory_is_removed(tmp_path: Path) -> None:
    config = workers.write_config(tmp_path / "config", make_topology("prefork"))
    program = [sys.executable, "-c", MANAGER]
    with workers.run_worker(
        config, "amqp://", tmp_path, worker_class="work", pod="p", arguments=program, grace_seconds=0.0
    ) as worker:
        assert eventually(lambda: worker.log.read_text().endswith("\n")), worker.log.read_text()
        left = Path(worker.log.read_text().splitlines()[-1])
        assert left.is_dir()
    assert not left.exists()


@pytest.mark.parametrize("pool", EACH_POOL)
def test_unchanged_application(pool: str, vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(pool))
    publisher = release.publisher()
    with release.worker("work") as worker:
        mail = publisher.send_task("tests.local.user_apps.plain.send_mail").id
        report = publisher.send_task("reports.monthly.build").id
        registered = publisher.send_task("registered").id
        failed = publisher.send_task("tests.local.user_apps.plain.fail").id
        assert eventually(lambda: {note["id"] for note in release.effects()} == {mail, report, registered, failed})
        (note,) = release.effects(mail)
        assert (note["queue"], note["priority"], note["acks_late"]) == ("main", 8, True)
        assert release.effects(report)[0]["queue"] == "side"
        (note,) = release.effects(registered)
        assert (note["acks_late"], note["acks_on_failure"]) == (True, False)

        assert eventually(lambda: bool(dead_letters(vhost_broker.amqp_url, "main.dead")))
        (letter,) = dead_letters(vhost_broker.amqp_url, "main.dead")
        assert (letter.id, letter.reason, letter.queue) == (failed, "failed", "main")

        heartbeat = worker.state / "heartbeat"
        touched = heartbeat.stat().st_mtime
        assert eventually(lambda: heartbeat.stat().st_mtime > touched, seconds=10)

        ready = worker.state / "ready"
        ready_at = ready.stat().st_mtime_ns
        close_connections(vhost_broker)
        assert eventually(lambda: ready.exists() and ready.stat().st_mtime_ns > ready_at)

        pools.reset()  # its connection was closed too
        publisher = release.publisher()
        running = publisher.send_task("tests.local.user_apps.plain.hang", kwargs={"seconds": 2}).id
        assert eventually(lambda: bool(release.effects(running)))
        worker.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: not worker.is_ready(), seconds=1.9)
        assert worker.process.poll() is None
        assert worker.process.wait(30) == 0
        assert len(release.effects(running)) == 1
    assert eventually(lambda: release.depth("main") == release.depth("side") == 0)


def test_settings_under_a_prefix_stay_unless_they_lose_tasks(vhost_broker: Broker, tmp_path: Path) -> None:
    topology = make_topology("threads", app="tests.local.user_apps.namespaced")
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, topology)
    with release.worker("work"):
        task = release.publisher().send_task("tests.local.user_apps.namespaced.send_mail").id
        assert eventually(lambda: bool(release.effects(task)))
    (note,) = release.effects(task)
    assert (note["acks_late"], note["timezone"]) == (True, "Asia/Kolkata")


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_hard_time_limit_leads_to_the_dead_letter_queue(pool: str, vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(pool, hard_time_limit_seconds=1))
    with release.worker("work"):
        task = release.publisher().send_task("tests.local.user_apps.plain.hang", kwargs={"seconds": 60}).id
        assert eventually(lambda: bool(dead_letters(vhost_broker.amqp_url, "main.dead")))
        assert [letter.id for letter in dead_letters(vhost_broker.amqp_url, "main.dead")] == [task]
        assert len(release.effects(task)) == 1
        assert eventually(lambda: release.depth("main") == 0)


def test_task_that_kills_its_child_ends_in_the_dead_letter_queue(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("prefork"))
    with release.worker("work"):
        task = release.publisher().send_task("tests.local.user_apps.plain.exhaust_memory").id
        assert eventually(lambda: bool(dead_letters(vhost_broker.amqp_url, "main.dead")), seconds=40)
        assert [letter.id for letter in dead_letters(vhost_broker.amqp_url, "main.dead")] == [task]
        assert len(release.effects(task)) == 2  # the first run and max_retries more
        mail = release.publisher().send_task("tests.local.user_apps.plain.send_mail").id
        assert eventually(lambda: bool(release.effects(mail)))


@pytest.mark.parametrize("pool", ["gevent", pytest.param("prefork", marks=pytest.mark.full)])
def test_killed_workers_tasks_run_elsewhere(pool: str, vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(pool))
    publisher = release.publisher()
    with release.worker("work", pod="pod-0") as first, release.worker("work", pod="pod-1"):
        sent = {
            publisher.send_task("tests.local.user_apps.plain.send_mail", kwargs={"seconds": 0.5}).id
            for _ in range(2 * POOLS[pool] + 6)
        }
        assert eventually(lambda: bool(release.effects()))
        processes.kill_group(first.process)
        assert eventually(lambda: {note["id"] for note in release.effects()} == sent)
        assert eventually(lambda: release.depth("main") == 0)
    runs = collections.Counter(note["id"] for note in release.effects())
    assert runs.keys() == sent  # lost 0
    assert sum(runs.values()) - len(runs) <= POOLS[pool]  # twice at most what was in flight


@pytest.mark.parametrize("pool", ["prefork", "gevent"])  # threads run prefork's loop
def test_silently_dead_connection_is_noticed(pool: str, vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(pool))
    _shorten(release.config / "celeryconfig.py", "HEARTBEAT_SECONDS = 30", "HEARTBEAT_SECONDS = 2")
    _shorten(release.config / "celery_workers_connections.py", "CLOSE_SECONDS = 5.0", "CLOSE_SECONDS = 0.5")
    with SilentProxy.to(vhost_broker.amqp_url) as proxy, release.worker("work", amqp_url=proxy.url) as worker:
        proxy.go_silent()
        task = release.publisher().send_task("tests.local.user_apps.plain.send_mail").id
        assert eventually(lambda: bool(release.effects(task)), seconds=45)
        assert worker.process.poll() is None
        assert "Connection to broker lost" in worker.log.read_text()


def test_silence_while_connecting_does_not_last(vhost_broker: Broker, tmp_path: Path) -> None:
    """A gevent worker's third connection, for remote control, meets silence; then the others do too."""
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("gevent"))
    _shorten(release.config / "celeryconfig.py", "HEARTBEAT_SECONDS = 30", "HEARTBEAT_SECONDS = 2")
    _shorten(release.config / "celery_workers_connections.py", "CLOSE_SECONDS = 5.0", "CLOSE_SECONDS = 0.5")
    _shorten(release.config / "celery_workers_connections.py", "CONNECT_SECONDS = 10.0", "CONNECT_SECONDS = 1.0")
    with SilentProxy.to(vhost_broker.amqp_url) as proxy:
        proxy.answer(at_most=2)
        with release.worker("work", amqp_url=proxy.url):
            assert eventually(lambda: proxy.connections >= 3)
            proxy.go_silent()
            proxy.answer(at_most=None)
            task = release.publisher().send_task("tests.local.user_apps.plain.send_mail").id
            assert eventually(lambda: bool(release.effects(task)), seconds=45)


def _shorten(path: Path, figure: str, shorter: str) -> None:
    text = path.read_text()
    assert figure in text
    path.write_text(text.replace(figure, shorter))


def test_startup_probe_and_users_commands_reach_the_worker(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("gevent"))

    def probe(environment: dict[str, str]) -> int:
        command = [sys.executable, str(release.config / "celery_workers_health.py"), "startup"]
        return subprocess.run(command, env=environment, timeout=30, check=False, capture_output=True).returncode

    with release.worker("work") as worker:
        assert probe(worker.environment) == 0
        assert probe({**worker.environment, "POD_NAME": "another"}) == 1
        # `celery -A <app> inspect active_queues`, with the release's settings as a publisher has them
        queues = release.publisher().control.inspect(timeout=5).active_queues()
    assert {queue["name"] for queue in queues["work@pod-0"]} == {"main", "side"}


def test_full_queue_and_unknown_queue_are_errors_for_the_publisher(vhost_broker: Broker, tmp_path: Path) -> None:
    topology = make_topology("gevent")
    topology["queues"]["main"]["max_length_messages"] = 2
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, topology)
    publisher = release.publisher()
    outcomes = []
    for _ in range(4):
        try:
            publisher.send_task("tests.local.user_apps.plain.send_mail")
            outcomes.append("accepted")
        except OperationalError:
            outcomes.append("refused")
    assert outcomes == ["accepted", "accepted", "refused", "refused"]
    with pytest.raises(QueueNotFound, match="elsewhere"):
        publisher.send_task("send_mail", queue="elsewhere")


def test_higher_priority_runs_first(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("threads", concurrency=1))
    publisher = release.publisher()
    for priority in (1, 9, 5, 2, 8, 3, 7, 4, 6) * 3:
        publisher.send_task("tests.local.user_apps.plain.send_mail", priority=priority)
    with release.worker("work"):
        assert eventually(lambda: len(release.effects()) == 27)
    assert [note["priority"] for note in release.effects()] == [one for one in range(9, 0, -1) for _ in range(3)]


@pytest.mark.parametrize("pool", ["gevent", pytest.param("prefork", marks=pytest.mark.full)])
def test_countdowns_do_not_hold_up_what_is_due_now(pool: str, vhost_broker: Broker, tmp_path: Path) -> None:
    """More of them than the worker has slots. On classic queues; the promise page says what quorum queues do."""
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(pool, concurrency=2))
    publisher = release.publisher()
    with release.worker("work") as worker:
        later = {
            publisher.send_task("tests.local.user_apps.plain.send_mail", countdown=60, priority=9).id for _ in range(6)
        }
        now = publisher.send_task("tests.local.user_apps.plain.send_mail").id
        assert eventually(lambda: bool(release.effects(now)))
        assert not later & {note["id"] for note in release.effects()}
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(30) == 0
    assert eventually(lambda: release.depth("main") == len(later))  # none lost with the worker


def test_expired_task_is_a_dead_letter(vhost_broker: Broker, tmp_path: Path) -> None:
    topology = make_topology("gevent")
    topology["queues"]["main"]["message_ttl_seconds"] = 0.2
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, topology)
    task = release.publisher().send_task("tests.local.user_apps.plain.send_mail").id
    assert eventually(lambda: bool(dead_letters(vhost_broker.amqp_url, "main.dead")))
    (letter,) = dead_letters(vhost_broker.amqp_url, "main.dead")
    assert (letter.id, letter.reason) == (task, "expired")


@pytest.mark.full
def test_gevent_finishes_everything_it_has_begun(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("gevent"))
    publisher = release.publisher()
    with release.worker("work") as worker:
        sent = [
            publisher.send_task("tests.local.user_apps.plain.send_mail", kwargs={"seconds": 3}).id for _ in range(30)
        ]
        time.sleep(1)
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(30) == 0
    runs = collections.Counter(note["id"] for note in release.effects())
    assert set(runs.values()) == {1}
    assert eventually(lambda: release.depth("main") == len(sent) - len(runs))  # the others wait, nothing is lost


def test_every_event_of_a_gevent_worker_arrives(vhost_broker: Broker, tmp_path: Path) -> None:
    """The shim buffers them; those of the tasks that end with the worker come too."""
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("gevent"))
    publisher = release.publisher()
    seen: collections.Counter[str] = collections.Counter()
    with publisher.connection_for_read() as connection, release.worker("work") as worker:
        receiver = publisher.events.Receiver(
            connection, handlers={"task-succeeded": lambda event: seen.update([event["uuid"]])}
        )
        reader = threading.Thread(target=receiver.capture, kwargs={"wakeup": False}, daemon=True)
        reader.start()
        time.sleep(0.5)  # events of before the reader's queue exists go nowhere
        send = functools.partial(publisher.send_task, "tests.local.user_apps.plain.send_mail")
        sent = {send(kwargs={"seconds": seconds}).id for seconds in [0.0] * 30 + [3.0]}
        assert eventually(lambda: len(seen) == 30)
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(30) == 0
        assert eventually(lambda: seen.keys() == sent)
        receiver.should_stop = True
        reader.join(10)
    assert set(seen.values()) == {1}


@pytest.mark.parametrize("kind", ["celery", "library"])
def test_broker_tells_how_old_the_first_task_is(kind: str, vhost_broker: Broker, tmp_path: Path) -> None:
    """By RabbitMQ's head_message_timestamp, which `harness ops status` shows."""
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("threads"))
    app = release.publisher()
    earliest = int(time.time())
    if kind == "celery":
        app.send_task("tests.local.user_apps.plain.send_mail")
    else:
        Publisher(app).publish("tests.local.user_apps.plain.send_mail")

    def head() -> int | None:
        with Management(vhost_broker.management_url) as api:
            (queue,) = (one for one in api.queue_documents() if one["name"] == "main")
        return queue.get("head_message_timestamp")

    assert eventually(lambda: isinstance(head(), int))
    assert earliest <= (head() or 0) <= time.time()


@pytest.mark.parametrize("pool", [pytest.param("threads", marks=pytest.mark.full), "gevent"])
def test_a_worker_with_tasks_in_work_goes_on_after_a_reconnect(pool: str, vhost_broker: Broker, tmp_path: Path) -> None:
    """Celery restored the prefetch count from tasks' threads; the loop then waited for an answer another had read."""
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(pool, concurrency=8))
    wanted: set[str] = set()
    with release.worker("work") as worker:
        ready = worker.state / "ready"
        for _ in range(2):
            pools.reset()  # the publisher's connection was closed as well
            publisher = release.publisher()
            wanted |= {
                publisher.send_task("tests.local.user_apps.plain.send_mail", kwargs={"seconds": 2.5}).id
                for _ in range(16)
            }
            assert eventually(lambda: release.depth_now("main").unacked == 8)
            ready_at = ready.stat().st_mtime_ns
            close_connections(vhost_broker)
            assert eventually(lambda at=ready_at: ready.exists() and ready.stat().st_mtime_ns > at)
        assert eventually(lambda: {note["id"] for note in release.effects()} == wanted, seconds=30)
        assert eventually(lambda: release.depth_now("main").total == 0, seconds=10)


@pytest.mark.parametrize("pool", ["gevent", pytest.param("prefork", marks=pytest.mark.full)])
def test_a_worker_tells_what_it_waits_for(pool: str, vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(pool))
    with release.worker("work") as worker:
        release.publisher().send_task("tests.local.user_apps.plain.send_mail", kwargs={"seconds": 30})
        assert eventually(lambda: "received" in worker.log.read_text())
        waits_in = "in send_mail" if pool == "gevent" else "in asynloop"  # a child's stack is not the worker's

        def tells() -> bool:  # asked again: a task that is received may not have begun yet
            worker.process.send_signal(signal.SIGUSR1)
            return eventually(lambda: waits_in in worker.log.read_text(), seconds=3)

        assert eventually(tells), worker.log.read_text()[-3000:]
        assert worker.process.poll() is None
