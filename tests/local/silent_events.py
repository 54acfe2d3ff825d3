"""A gevent program that connects for events again, as a worker does, while a greenlet sends to a broker gone silent.

Run as `python -m tests.local.silent_events URL`. Ends with 0 once the sender is free and the new connection works.
"""

from gevent import monkey

monkey.patch_all()

# ruff: noqa: E402 - the order is the point
import sys
from pathlib import Path
from typing import Any

import gevent
from celery import Celery
from celery.worker.consumer.events import Events
from kombu import Connection

from tests.local.silent_proxy import SilentProxy
from tests.local.worker_release import load_file

FILES = Path(__file__).resolve().parents[2] / "charts" / "celery-workers" / "files"
LIMIT_SECONDS = 20.0
connections = load_file(FILES / "celery_workers_connections.py")
connections.CLOSE_SECONDS = 0.3


class Stock:
    """What Celery's step and the mixin need of a consumer."""

    hostname = "work@pod"
    hub = None
    amqheartbeat = 0
    event_dispatcher: Any = None
    connection_errors = channel_errors = Connection("memory://").connection_errors

    def __init__(self, app: Celery) -> None:
        self.app = app

    def ensure_connected(self, connection: Connection) -> Connection:
        return connection.ensure_connection()


class Worker(connections.SafeConnections, Stock):
    """A consumer with the mixin."""


def reconnect(proxy: SilentProxy) -> None:
    app = Celery(broker=proxy.url, set_as_current=False)
    app.amqp.Connection = connections.BoundedConnection
    worker = Worker(app)
    events = Events(worker)
    events.start(worker)
    before = worker.event_dispatcher
    before.connection.default_channel  # noqa: B018 - opens it
    proxy.go_silent()
    sender = gevent.spawn(before.send, "worker-heartbeat")
    while not before.mutex.locked():
        gevent.sleep(0.01)
    gevent.sleep(0.1)  # it waits for the broker's answer now

    events.start(worker)  # connections made from now on are answered
    sender.get()
    assert worker.event_dispatcher is not before
    worker.event_dispatcher.send("worker-online")
    events.shutdown(worker)


if __name__ == "__main__":
    with SilentProxy.to(sys.argv[1]) as proxy, gevent.Timeout(LIMIT_SECONDS):
        reconnect(proxy)
