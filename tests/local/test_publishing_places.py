"""Publishing from where applications do it: the tasks of a prefork worker, and a web server with threads."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from benchmarks import workers
from celery_workers import FAIL_FAST, Publisher, PublishError, TaskCall
from harness.broker.server import Broker
from tests.local.publishing import LIMIT, depth, drain, limited, make_app

APP = """
import os
from celery import Celery
from celery_workers import Publisher, TaskCall

app = Celery("fan")
publisher = Publisher(app, connections=1)  # made before the pool forks
publisher.publish("nobody", queue="out", task_id="the parent's")  # and used there

@app.task(name="fan.out", bind=True)
def fan_out(self, count):
    publisher.publish("nobody", queue="out", task_id=f"{self.request.id} single")
    calls = (TaskCall("nobody", task_id=f"{self.request.id} {n}", options={"queue": "out"}) for n in range(count))
    assert all(outcome.accepted for outcome in publisher.publish_many(calls))
    assert not self.request.children or len(self.request.children) == 1  # many children would fill the memory
"""


def wait_for(count: int, app: Any, queue: str, seconds: float) -> None:
    ends_at = time.monotonic() + seconds
    while depth(app, queue) < count and time.monotonic() < ends_at:
        time.sleep(0.1)


def test_tasks_of_a_prefork_worker_publish_over_connections_of_their_own(vhost_broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "fan.py").write_text(APP)
    topology = workers.make_topology(
        app="fan:app",
        classes={"cpu": workers.make_class("prefork", 2, "work")},
        queues={"work": workers.make_queue("cpu"), "out": workers.make_queue("cpu")},
    )
    config = workers.write_config(tmp_path / "config", topology)
    assert workers.apply_topology(config, vhost_broker.amqp_url, vhost_broker.management_url).returncode == 0
    app = make_app(vhost_broker.amqp_url, seen={})
    root = Path(__file__).parents[2]
    with workers.run_worker(
        config, vhost_broker.amqp_url, tmp_path, worker_class="cpu", pod="w", python_path=(tmp_path, root)
    ) as worker:
        worker.wait_ready()
        for number in range(4):
            Publisher(app).publish("fan.out", args=(100,), queue="work", task_id=f"task {number}")
        wait_for(405, app, "out", 40)
    expected = {f"task {task} {part}" for task in range(4) for part in (*range(100), "single")}
    arrived = drain(app, "out")
    assert set(arrived) == expected | {"the parent's"}, worker.log.read_text()[-2000:]
    assert len(arrived) == len(set(arrived)) == 405


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


def test_requests_of_a_web_server_each_hear_what_became_of_their_tasks(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io={}, small=limited())
    app.amqp.queues  # noqa: B018 - Celery builds it on first use, without a lock
    publisher = Publisher(app, connections=3)

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        queue = environ["PATH_INFO"].strip("/")
        try:
            publisher.publish("t", queue=queue, when_full=FAIL_FAST)
        except PublishError as error:
            start_response("503 Service Unavailable", [("Retry-After", "1")])
            return [type(error).__name__.encode()]
        many = publisher.publish_many(TaskCall("t", options={"queue": "io"}) for _ in range(10))
        start_response("202 Accepted", [])
        return [json.dumps([outcome.status for outcome in many]).encode()]

    with make_server("127.0.0.1", 0, serve, server_class=Server, handler_class=Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def ask(queue: str) -> str:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{queue}", timeout=30) as answer:
                    return f"{answer.status} {sorted(set(json.load(answer)))}"
            except urllib.error.HTTPError as error:
                return f"{error.code} {error.read().decode()}"

        with ThreadPoolExecutor(12) as clients:
            answers = list(clients.map(ask, ["io", "small"] * 20))
        server.shutdown()
    assert answers.count("202 ['accepted']") == 20 + LIMIT
    assert answers.count("503 QueueFull") == 20 - LIMIT
    assert depth(app, "io") == 20 + 10 * (20 + LIMIT)
