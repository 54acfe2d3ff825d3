"""A worker's connections for events and for remote control, when the broker falls silent on them alone."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.worker.consumer.events import Events
from kombu import Connection

from harness.broker.server import Broker
from tests.local.silent_proxy import SilentProxy
from tests.local.worker_release import load_file

ROOT = Path(__file__).resolve().parents[2]
CONNECTIONS = ROOT / "charts" / "celery-workers" / "files" / "celery_workers_connections.py"


def test_who_sends_events_to_a_silent_broker_does_not_hold_up_a_reconnect(vhost_broker: Broker) -> None:
    """Told to close, py-amqp throws away what the sender waits for; the worker would wait for the sender's lock."""
    command = [sys.executable, "-m", "tests.local.silent_events", vhost_broker.amqp_url]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


def test_who_sends_events_while_the_broker_is_away_tries_once(vhost_broker: Broker) -> None:
    """Retries would hold the dispatcher's lock, for which a worker waits before it is unready."""
    connections = load_file(CONNECTIONS)
    worker_type = type("Worker", (connections.SafeConnections, _Stock), {})
    with SilentProxy.to(vhost_broker.amqp_url) as proxy:
        worker = worker_type(Celery(broker=proxy.url, set_as_current=False))
        events = Events(worker)
        events.start(worker)
        worker.event_dispatcher.send("worker-online")
    worker.event_dispatcher.connection.collect()  # as who was told that it is lost
    sender = spawn(worker.event_dispatcher.send, "worker-heartbeat")
    sender.join(8)  # Celery tries for 10 s and more
    assert not sender.is_alive()
    assert len(worker.event_dispatcher._outbound_buffer) == 1


class _Stock:
    """What the mixin and Celery's step for events need of a consumer."""

    hostname = "work@pod"
    hub = None
    amqheartbeat = 0
    event_dispatcher: Any = None

    def __init__(self, app: Celery) -> None:
        self.app = app

    def ensure_connected(self, connection: Connection) -> Connection:
        return connection.ensure_connection()


def test_a_remote_control_that_waits_for_a_silent_broker_does_not_hold_up_a_reconnect(
    vhost_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = load_file(CONNECTIONS)
    monkeypatch.setattr(connections, "CLOSE_SECONDS", 0.3)
    silent = threading.Event()

    def connect() -> Connection:
        made = app.connection_for_read().ensure_connection()
        proxy.go_silent()
        silent.set()
        return made

    with SilentProxy.to(vhost_broker.amqp_url) as proxy:
        app = Celery(broker=proxy.url, set_as_current=False)
        control = connections.BoundedControl(consumer(app, connect))
        control.start(control.c)
        assert silent.wait(20)

        stopping = spawn(control.stop, control.c)
        stopping.join(10)
        assert not stopping.is_alive()


def consumer(app: Celery, connect: Callable[[], Connection]) -> types.SimpleNamespace:
    """What the remote control needs of a worker's consumer."""
    return types.SimpleNamespace(
        app=app,
        hostname="work@pod",
        controller=types.SimpleNamespace(use_eventloop=False),
        pool=types.SimpleNamespace(spawn_n=spawn),
        connection_for_read=connect,
        on_decode_error=None,
    )


def spawn(function: Callable[..., None], *arguments: object) -> threading.Thread:
    def run() -> None:
        with contextlib.suppress(OSError):  # the proxy's end
            function(*arguments)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
