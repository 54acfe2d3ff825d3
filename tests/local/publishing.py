"""What the tests of publishing share: queues on a real broker, and ways to the broker that fail."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from celery import Celery
from kombu import Queue

from harness.broker.node import find_server
from harness.broker.server import Broker

LIMIT = 5
SHORT_SECONDS = 1.0


def make_app(url: str, **arguments: Mapping[str, Any]) -> Celery:
    """An app with one queue a keyword, made on the broker with these arguments; the first is the default."""
    app = Celery(broker=url, set_as_current=False)
    app.conf.task_queues = [
        Queue(name, queue_arguments=dict(given), routing_key=name) for name, given in arguments.items()
    ]
    app.conf.task_default_queue = next(iter(arguments))
    with app.connection_for_write() as connection:
        for queue in app.conf.task_queues:
            queue(connection.default_channel).declare()
    return app


def limited(overflow: str = "reject-publish", **more: Any) -> dict[str, Any]:
    return {"x-max-length": LIMIT, "x-overflow": overflow, **more}


def depth(app: Celery, queue: str) -> int:
    with app.connection_for_read() as connection:
        return int(connection.default_channel.queue_declare(queue, passive=True).message_count)


def take(app: Celery, queue: str) -> str | None:
    """Take one message; return its task id."""
    with app.connection_for_read() as connection:
        message = connection.default_channel.basic_get(queue, no_ack=True)
        return str(message.headers["id"]) if message else None


def drain(app: Celery, queue: str) -> list[str]:
    """Take everything; return the task ids."""
    ids = []
    with app.connection_for_read() as connection:
        while message := connection.default_channel.basic_get(queue, no_ack=True):
            ids.append(str(message.headers["id"]))
    return ids


def local_ports(url: str) -> set[int]:
    """Our ends of this process's connections to the broker."""
    port = urlsplit(url).port
    return {
        connection.laddr.port
        for connection in psutil.Process().net_connections("tcp")
        if connection.raddr and connection.raddr.port == port and connection.status == psutil.CONN_ESTABLISHED
    }


class Proxy:
    """A TCP way to the broker that can be cut, or made to swallow one direction."""

    def __init__(self, url: str) -> None:
        self.target = (urlsplit(url).hostname, urlsplit(url).port)
        self.swallow_answers = False
        self.connections = 0
        self._sockets: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = urlsplit(url)._replace(netloc=f"guest:guest@127.0.0.1:{self._server.getsockname()[1]}").geturl()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self.connections += 1
                broker = socket.create_connection(self.target)
                self._sockets += [client, broker]
                for pair, answers in (((client, broker), False), ((broker, client), True)):
                    threading.Thread(target=self._pump, args=(*pair, answers), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not (answers and self.swallow_answers):
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._sockets.clear()

    def close(self) -> None:
        self._server.close()
        self.cut()


def rabbitmqctl(broker: Broker, *arguments: str) -> None:
    """Run rabbitmqctl on the node of this test session, with the node's own environment."""
    server = find_server()
    if broker.pid is None or server is None:
        pytest.skip("the broker is not ours to command")
    environment = psutil.Process(broker.pid).environ()
    command = [str(server.with_name("rabbitmqctl")), "-n", environment["RABBITMQ_NODENAME"], *arguments]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)


def run_script(script: str, url: str) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script, url],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
