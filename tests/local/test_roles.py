"""Each role of harness/broker/roles.py does its work on a real RabbitMQ, and is refused what is not its work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from amqp import Message
from amqp.exceptions import AccessRefused
from kombu import Connection

from benchmarks import workers
from benchmarks.exporting import run_exporter
from celery_workers import Publisher, TaskCall, Topology
from harness import direct
from harness.broker.management import Management, dead_letters
from harness.broker.roles import roles
from harness.broker.server import Broker
from tests.local.worker_release import ReleaseUnderTest, eventually

pytestmark = pytest.mark.timeout(120)

PLAIN = "tests.local.user_apps.plain"
MAIL, FAIL, RETRY = f"{PLAIN}.send_mail", f"{PLAIN}.fail", f"{PLAIN}.retry_later"
PASSWORD = "of-one-test"


class Users:
    """A release's broker, as its owner and as each role's user."""

    def __init__(self, broker: Broker, directory: Path, delays: dict[str, int] | None = None, **queue: Any) -> None:
        classes = {"work": workers.make_class("prefork", 2, "main", "side")}
        queues = {
            name: workers.make_queue("work", dead_letter_queue=f"{name}.dead", **queue) for name in ("main", "side")
        }
        self.broker = broker
        self.topology = workers.make_topology(
            app="tests.local.user_apps.plain:app", classes=classes, queues=queues, delayed_delivery=delays
        )
        self.config = workers.write_config(directory / "config", self.topology)
        self.owner = ReleaseUnderTest(broker, self.topology, self.config, directory)
        self.roles = {role.name: role for role in roles(self.topology)}

    def user(self, name: str) -> Broker:
        """Make a role's user; return the broker as it sees it."""
        role = self.roles[name]
        user = f"{self.vhost}-{name}"
        self.call("PUT", f"users/{user}", {"password": PASSWORD, "tags": role.tag}).raise_for_status()
        body = {"configure": role.configure, "write": role.write, "read": role.read}
        self.call("PUT", f"permissions/{self.vhost}/{user}", body).raise_for_status()
        urls = [self._login(url, user) for url in (self.broker.amqp_url, self.broker.management_url)]
        return replace(self.broker, amqp_url=urls[0], management_url=urls[1])

    def release(self, name: str) -> ReleaseUnderTest:
        """Return the release as a role's user has it."""
        return replace(self.owner, broker=self.user(name))

    @property
    def vhost(self) -> str:
        return quote(urlsplit(self.broker.management_url).path[1:], safe="")

    def call(self, method: str, path: str, body: Any = None, *, broker: Broker | None = None) -> httpx.Response:
        """Ask the management API, as the owner unless told otherwise."""
        parts = urlsplit((broker or self.broker).management_url)
        auth = (parts.username or "", parts.password or "")
        with direct.client(f"http://{parts.hostname}:{parts.port}", timeout_seconds=10, auth=auth) as client:
            return client.request(method, f"/api/{path}", json=body)

    def status(self, broker: Broker, method: str, path: str, body: Any = None) -> int:
        """Return what the management API answers a role's user."""
        return self.call(method, path.replace("VHOST", self.vhost), body, broker=broker).status_code

    @staticmethod
    def _login(url: str, user: str) -> str:
        parts = urlsplit(url)
        return parts._replace(netloc=f"{user}:{PASSWORD}@{parts.hostname}:{parts.port}").geturl()


@pytest.fixture
def users(vhost_broker: Broker, tmp_path: Path) -> Users:
    made = Users(vhost_broker, tmp_path)
    assert made.owner.apply().returncode == 0
    return made


def refused(amqp_url: str, do: Callable[[Any], Any]) -> bool:
    """Whether the broker refuses what is done with a channel."""
    with Connection(amqp_url) as connection:
        try:
            do(connection.default_channel)
        except AccessRefused:
            return True
    return False


def publish(channel: Any, exchange: str, routing_key: str = "main") -> None:
    channel.basic_publish_confirm(Message(b"{}"), exchange=exchange, routing_key=routing_key)


SET_A_POLICY = ("PUT", "policies/VHOST/mine", {"pattern": "^main$", "definition": {"max-length": 1}})


def test_worker(users: Users) -> None:
    release = users.release("worker")
    with release.worker("work") as worker:
        done, failed = (users.owner.publisher().send_task(name).id for name in (MAIL, FAIL))
        assert eventually(lambda: bool(release.effects(done)))
        assert eventually(lambda: [one.id for one in dead_letters(users.broker.amqp_url, "main.dead")] == [failed])
        for program in (["celery_workers_health.py", "startup"], ["celery_workers_check.py"]):
            command = [sys.executable, str(release.config / program[0]), *program[1:]]
            run = subprocess.run(
                command, env=worker.environment, timeout=60, capture_output=True, text=True, check=False
            )
            assert run.returncode == 0, run.stderr
        assert "ACCESS_REFUSED" not in worker.log.read_text()
    url = release.broker.amqp_url
    assert refused(url, lambda channel: channel.basic_get("main.dead"))
    assert refused(url, lambda channel: channel.queue_purge("main.dead"))
    assert refused(url, lambda channel: channel.queue_delete("main.dead"))
    assert refused(url, lambda channel: channel.queue_declare("another"))
    assert refused(url, lambda channel: publish(channel, "celery.dlx", "main.dead"))
    assert users.status(release.broker, "GET", "queues/VHOST") == 401


def test_worker_of_quorum_queues(vhost_broker: Broker, tmp_path: Path) -> None:
    """It is refused the 28 queues that Celery makes for countdowns and cannot use, and does without."""
    users = Users(vhost_broker, tmp_path, type="quorum", max_priority=None)
    assert users.owner.apply().returncode == 0
    release = users.release("worker")
    with release.worker("work") as worker:
        now, later = (users.owner.publisher().send_task(MAIL, countdown=seconds).id for seconds in (0, 2))
        assert eventually(lambda: bool(release.effects(now)) and bool(release.effects(later)))
        assert "Native delayed delivery will not be available" in worker.log.read_text()
    with Management(users.broker.management_url) as api:
        assert [name for name in api.queues() if name.startswith("celery_delayed")] == []


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param({}, id="classic", marks=pytest.mark.full),
        pytest.param({"type": "quorum", "max_priority": None}, id="quorum"),
    ],
)
def test_delayed_delivery(kind: dict[str, Any], vhost_broker: Broker, tmp_path: Path) -> None:
    """Each user sends what is due later, and reaches no delay queue but by its first exchange."""
    users = Users(vhost_broker, tmp_path, {"highest_level": 3}, **kind)
    for _ in range(2):
        done = users.release("topology").apply()
        assert done.returncode == 0, done.stderr
    release = users.release("worker")
    publisher = Publisher(users.release("publisher").publisher(), topology=Topology.from_document(users.topology))
    sent = {publisher.publish(MAIL, countdown=1, deadline_seconds=5)}
    (outcome,) = publisher.publish_many([TaskCall(MAIL, options={"countdown": 1})])
    sent |= {outcome.task_id, users.release("declaring-publisher").publisher().send_task(MAIL, countdown=1).id}
    publisher.close()
    with release.worker("work") as worker:
        task = users.owner.publisher().send_task(RETRY, kwargs={"seconds": 1, "times": 1}, countdown=1).id
        assert eventually(lambda: len(release.effects(task)) == 2)
        assert eventually(lambda: sent <= {note["id"] for note in release.effects()})
        check = [sys.executable, str(release.config / "celery_workers_check.py")]
        run = subprocess.run(check, env=worker.environment, timeout=60, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        assert "ACCESS_REFUSED" not in worker.log.read_text()
    for name in ("worker", "publisher", "declaring-publisher"):
        url = users.user(name).amqp_url
        for queue in ("celery_celery_delayed_0", "celery_celery_delayed_due_main"):
            assert refused(url, lambda channel, queue=queue: channel.basic_get(queue))
            assert refused(url, lambda channel, queue=queue: channel.queue_purge(queue))
        assert refused(url, lambda channel: publish(channel, "celery_celery_delayed_0"))


def test_publisher_with_the_library(users: Users) -> None:
    release = users.release("publisher")
    publisher = Publisher(release.publisher())
    publisher.publish(MAIL, deadline_seconds=5)
    publisher.close()
    assert eventually(lambda: users.owner.depth("main") == 1)
    url = release.broker.amqp_url
    assert refused(url, lambda channel: channel.basic_get("main"))
    assert refused(url, lambda channel: channel.queue_declare("main", passive=False, durable=True))
    assert refused(url, lambda channel: channel.queue_purge("main"))
    assert refused(url, lambda channel: publish(channel, "celery"))
    assert refused(url, lambda channel: publish(channel, "celery.pidbox"))
    assert users.status(release.broker, "GET", "overview") == 401


def test_publisher_with_celery_alone(users: Users) -> None:
    release = users.release("declaring-publisher")
    release.publisher().send_task(MAIL)
    assert eventually(lambda: users.owner.depth("main") == 1)
    url = release.broker.amqp_url
    assert refused(url, lambda channel: channel.basic_get("main"))
    assert refused(url, lambda channel: channel.queue_declare("another"))
    assert refused(url, lambda channel: channel.queue_delete("main.dead"))


def test_publisher_that_waits_for_results(users: Users) -> None:
    """A result by rpc:// comes to a queue of the publisher's own, named by a UUID."""
    waiting = r"|[0-9a-f-]{36})$"
    role = users.roles["declaring-publisher"]
    users.roles["declaring-publisher"] = replace(
        role, configure=role.configure.replace(")$", waiting), read=role.read.replace(")$", waiting)
    )
    app = users.release("declaring-publisher").publisher()
    app.conf.result_backend = "rpc://"
    with users.release("worker").worker("work", environment={"CELERY_RESULT_BACKEND": "rpc://"}):
        assert app.send_task(MAIL).get(timeout=20) is None


def test_publisher_without_declaring_cannot_use_celery_alone(users: Users) -> None:
    with pytest.raises(AccessRefused, match="exchange 'celery'"):
        users.release("publisher").publisher().send_task(MAIL)


def test_topology(vhost_broker: Broker, tmp_path: Path) -> None:
    users = Users(vhost_broker, tmp_path)
    release = users.release("topology")
    for _ in range(2):  # an upgrade comes to what is there
        done = release.apply()
        assert done.returncode == 0, done.stderr
    assert users.status(release.broker, "GET", "queues/VHOST/main") == 200  # KEDA shares the Secret
    assert users.status(release.broker, "PUT", "queues/VHOST/another", {"durable": True}) == 401
    url = release.broker.amqp_url
    assert refused(url, lambda channel: channel.basic_get("main"))
    assert refused(url, lambda channel: publish(channel, ""))
    assert users.status(release.broker, "GET", "users") == 401


@pytest.mark.parametrize("name", ["scaler", "monitor"])
def test_who_only_looks(name: str, users: Users) -> None:
    broker = users.user(name)
    assert users.status(broker, "GET", "queues/VHOST/main") == 200
    assert users.status(broker, "GET", "overview") == 200
    assert users.status(broker, "GET", "nodes") == (200 if name == "monitor" else 401)
    assert users.status(broker, *SET_A_POLICY) == 401
    assert users.status(broker, "DELETE", "queues/VHOST/main") == 401
    assert refused(broker.amqp_url, lambda channel: channel.basic_get("main"))
    assert refused(broker.amqp_url, lambda channel: publish(channel, ""))


def test_events(users: Users) -> None:
    release = users.release("events")
    seen: list[str] = []
    with users.owner.worker("work"):
        app = release.publisher()
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": lambda event: seen.append(event["type"])})
            receiver.capture(limit=1, timeout=20)
    assert seen == ["worker-heartbeat"]
    assert refused(release.broker.amqp_url, lambda channel: channel.basic_get("main"))
    assert refused(release.broker.amqp_url, lambda channel: publish(channel, ""))


def test_exporter(users: Users, tmp_path: Path) -> None:
    """It counts tasks and dead letters, and looks at queues; it takes no message and sends none."""
    release = users.release("exporter")
    broker = release.broker
    running = run_exporter(release.config, broker.amqp_url, tmp_path, management_url=broker.management_url)
    with users.owner.worker("work"), running as exporter:
        assert eventually(lambda: exporter.value("celery_workers_workers") == 1), exporter.log.read_text()
        assert eventually(lambda: exporter.value("celery_workers_dead_letters_total") == 0), exporter.log.read_text()
        assert eventually(lambda: exporter.value("celery_workers_queue_policy_missing") == 0)
        users.owner.publisher().send_task(FAIL)
        assert eventually(lambda: exporter.value("celery_workers_dead_letters_total", reason="failed") == 1)
        assert exporter.value("celery_workers_tasks_total", outcome="failed") == 1
    url = broker.amqp_url
    for queue in ("main", "main.dead"):
        assert refused(url, lambda channel, queue=queue: channel.basic_get(queue))
        assert refused(url, lambda channel, queue=queue: channel.queue_purge(queue))
    assert refused(url, lambda channel: publish(channel, ""))
    assert refused(url, lambda channel: publish(channel, "celery.dlx", "main.dead"))
    assert refused(url, lambda channel: publish(channel, "celery.pidbox"))
    assert users.status(broker, *SET_A_POLICY) == 401
    assert users.status(broker, "DELETE", "queues/VHOST/main") == 401


def test_flower(users: Users) -> None:
    """It reads events, asks workers for pools and queues, and the broker for each queue's length."""
    release = users.release("flower")
    seen: list[str] = []
    with users.owner.worker("work"):
        app = release.publisher()
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": lambda event: seen.append(event["type"])})
            receiver.capture(limit=1, timeout=20)
        inspect = app.control.inspect(timeout=5, limit=1)
        assert inspect.stats().keys() == inspect.active_queues().keys() == {"work@pod-0"}
        with app.connection_for_read() as connection:
            assert connection.default_channel.queue_declare("main", passive=True).message_count == 0
    assert seen == ["worker-heartbeat"]
    assert refused(release.broker.amqp_url, lambda channel: channel.basic_get("main"))
    assert refused(release.broker.amqp_url, lambda channel: publish(channel, ""))


def test_inspector(users: Users) -> None:
    release = users.release("inspector")
    with users.owner.worker("work"):
        assert release.publisher().control.inspect(timeout=5, limit=1).ping() == {"work@pod-0": {"ok": "pong"}}
    assert refused(release.broker.amqp_url, lambda channel: channel.basic_get("main"))
    assert refused(release.broker.amqp_url, lambda channel: publish(channel, ""))
