"""The web front in a process of its own, on a real RabbitMQ and Redis."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection, Queue

from celery_workers.breaker import clear_override, set_override
from celery_workers.shared import SharedRedis
from harness.broker.management import Management
from harness.broker.server import Broker
from harness.services.redis import Redis
from tests.local.examx.fronts import Front, front
from tests.local.examx.running import environment

TASK = "forgot_password_mail"
pytestmark = pytest.mark.timeout(120)


def declare(broker: Broker, *, room: int | None = None) -> None:
    """Make the queue, with room for so many messages."""
    with Connection(broker.amqp_url) as connection:
        Queue("celery", channel=connection.default_channel).declare()
    if room is not None:
        with Management(broker.management_url) as api:
            api.put_policy("limit", pattern="^celery$", definition={"max-length": room, "overflow": "reject-publish"})


def waiting(broker: Broker) -> list[tuple[str, dict[str, object]]]:
    """Ids and arguments of what is in the queue, taken out."""
    found = []
    with Connection(broker.amqp_url) as connection:
        queue = Queue("celery", channel=connection.default_channel)
        while (message := queue.get()) is not None:
            message.ack()
            found.append((message.headers["id"], message.decode()[1]))
    return found


@pytest.fixture
def shared(redis: Redis, redis_prefix: str, tmp_path: Path) -> Iterator[SharedRedis]:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "topology.json").write_text(f'{{"redis_key_prefix": "{redis_prefix}"}}')
    made = SharedRedis(redis.url, prefix=redis_prefix)
    yield made
    made.close()


@contextlib.contextmanager
def running(broker: Broker, tmp_path: Path, *options: str, **more: str) -> Iterator[Front]:
    env = environment(CELERY_BROKER_URL=broker.amqp_url, CELERY_WORKERS_CONFIG_DIR=str(tmp_path / "config"), **more)
    with front(tmp_path, env, *options) as started:
        yield started


def test_tasks_are_taken_and_strangers_refused(vhost_broker: Broker, tmp_path: Path) -> None:
    declare(vhost_broker)
    with running(vhost_broker, tmp_path) as one:
        assert one.get("/healthz")[0] == 200
        status, _, first = one.post(TASK, {"user": "Ada"})
        assert status == 202
        assert one.post(TASK, Idempotency_Key="my-own.id")[2] == {"id": "my-own.id"}
        for task, body, headers in (
            ("no_such_task", {}, {}),
            ("celery.backend_cleanup", {}, {}),
            (TASK, {"user": 7}, {}),
            (TASK, {"job": "x"}, {}),
            (TASK, b"[" * 60_000, {}),
            (TASK, b"not json", {}),
            (TASK, b"\xff\xfe", {}),
            (TASK, {}, {"Idempotency_Key": "../etc"}),
        ):
            status, _, answer = one.post(task, body, **headers)
            assert (status, list(answer)) == (400, ["errors"]), (task, body, answer)
        assert one.post(TASK, b"x" * 70_000)[0] == 413
        assert one.get(f"/tasks/{TASK}")[0] == 405
        assert one.get("/")[0] == 404
        metrics = one.get("/metrics")[1]
        assert 'examx_web_answers_total{status="202"} 2.0' in metrics
        assert "celery_workers_publishing_total" not in metrics
        assert 'examx_web_publishing_total{outcome="accepted"} 2.0' in metrics
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(20) == 0
    assert waiting(vhost_broker) == [(first["id"], {"user": "Ada"}), ("my-own.id", {})]


def test_a_full_queue_and_a_missing_one(vhost_broker: Broker, tmp_path: Path) -> None:
    with running(vhost_broker, tmp_path) as one:
        assert one.post(TASK)[0] == 500  # no queue: trying again would not help
        declare(vhost_broker, room=3)
        answers = [one.post(TASK) for _ in range(5)]
        assert [status for status, _, _ in answers] == [202, 202, 202, 503, 503]
        assert int(answers[3][1]["Retry-After"]) >= 1
        assert answers[3][2]["stored"] is False
        assert len(waiting(vhost_broker)) == 3
        assert one.post(TASK)[0] == 202  # there is room again


@pytest.mark.full
def test_the_rate_limit_is_shared_by_fronts(
    vhost_broker: Broker, redis: Redis, shared: SharedRedis, tmp_path: Path
) -> None:
    declare(vhost_broker)
    (tmp_path / "other").mkdir()
    options = ("--rate-limit", "4/h")
    with (
        running(vhost_broker, tmp_path, *options, CELERY_WORKERS_REDIS_URL=redis.url) as one,
        front(
            tmp_path / "other",
            environment(
                CELERY_BROKER_URL=vhost_broker.amqp_url,
                CELERY_WORKERS_REDIS_URL=redis.url,
                CELERY_WORKERS_CONFIG_DIR=str(tmp_path / "config"),
            ),
            *options,
        ) as two,
    ):
        assert [each.post(TASK)[0] for each in (one, two, one, two, one, two)] == [202] * 4 + [429] * 2
        assert 1 <= int(one.post(TASK)[1]["Retry-After"]) <= 3600
    assert len(waiting(vhost_broker)) == 4


def test_an_open_breaker_turns_away_what_would_wait_for_it(
    vhost_broker: Broker, redis: Redis, shared: SharedRedis, tmp_path: Path
) -> None:
    declare(vhost_broker)
    with running(vhost_broker, tmp_path, CELERY_WORKERS_REDIS_URL=redis.url) as one:
        set_override(shared, "service-smtp", mode="open", for_seconds=100)
        status, headers, _ = one.post(TASK)
        assert (status, 1 <= int(headers["Retry-After"]) <= 100) == (503, True)
        assert one.post("async_php_evaluate")[0] == 202  # another service
        clear_override(shared, "service-smtp")
        assert one.post(TASK)[0] == 202


def test_a_broker_that_is_away(closed_port: int, tmp_path: Path) -> None:
    env = environment(CELERY_BROKER_URL=f"amqp://guest:geheim@127.0.0.1:{closed_port}//")
    with front(tmp_path, env) as one:
        status, headers, answer = one.post(TASK)
        assert (status, "Retry-After" in headers) == (503, True)
        assert "geheim" not in str(answer)
        assert one.get("/healthz")[0] == 200
    assert "geheim" not in (tmp_path / "front.log").read_text()


# One process for all: to import the application is most of what one does.
STARTS = """
import json, sys
from examx.web.__main__ import main
for options in json.loads(sys.argv[1]):
    print(main(options), flush=True)
"""


def test_input_that_cannot_be_is_one_message_and_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wrong = (["--port", str(taken.getsockname()[1])], ["--port", "70000"])
        several = subprocess.run(
            [sys.executable, "-c", STARTS, json.dumps(wrong)],
            env=environment(), capture_output=True, text=True, timeout=90,
        )  # fmt: skip
        one = subprocess.run(
            [sys.executable, "-m", "examx.web", "--rate-limit", "10/d"],
            env=environment(), capture_output=True, text=True, timeout=90,
        )  # fmt: skip
    assert several.stdout.split() == ["2", "2"], several.stderr
    assert one.returncode == 2
    messages = several.stderr.splitlines() + one.stderr.splitlines()
    assert len(messages) == 3, messages
    assert all(message.startswith("examx.web: ") for message in messages)
