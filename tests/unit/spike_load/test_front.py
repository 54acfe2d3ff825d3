"""What a web front's answers mean to the load, on a small real HTTP server."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from celery_workers import PublishError, QueueFull, Unconfirmed, Unreachable
from celery_workers.publishing import may_retry
from harness.spike.front import FrontClient


class Desk(BaseHTTPRequestHandler):
    """Answers as its server's `answer` says: a status and a body, or None for hanging up."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, self.headers["Idempotency-Key"], json.loads(body)))  # type: ignore[attr-defined]
        answer = self.server.answer  # type: ignore[attr-defined]
        if answer is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(answer[0])
        self.send_header("Content-Length", str(len(answer[1])))
        self.end_headers()
        self.wfile.write(answer[1])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def desk() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    server.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join(10)
    server.server_close()


def offer(server: ThreadingHTTPServer, answer: tuple[int, bytes] | None) -> str:
    server.answer = answer  # type: ignore[attr-defined]
    client = FrontClient(f"http://127.0.0.1:{server.server_port}", connections=1)
    try:
        return client.attempt("mail", kwargs={"user": "Ada"}, task_id="one")
    finally:
        client.close()


def test_the_tasks_id_goes_along(desk: ThreadingHTTPServer) -> None:
    assert offer(desk, (202, b'{"id": "one"}')) == "one"
    assert desk.seen == [("/tasks/mail", "one", {"user": "Ada"})]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("answer", "kind", "again"),
    [
        ((429, b'{"errors": ["more than 10/m"]}'), QueueFull, True),
        ((503, b'{"errors": ["the queue is full"], "stored": false}'), QueueFull, True),
        ((503, b'{"errors": ["the queue is full"], "stored": true}'), QueueFull, False),
        ((503, b"<html>a proxy's own page"), QueueFull, True),
        ((504, b"{}"), Unconfirmed, True),
        ((400, b'{"errors": ["no such task"]}'), PublishError, False),
        ((500, b"[]"), PublishError, False),
        (None, Unconfirmed, True),
    ],
    ids=str,
)
def test_each_answer_has_a_publishers_outcome(
    desk: ThreadingHTTPServer, answer: tuple[int, bytes] | None, kind: type[PublishError], again: bool
) -> None:
    with pytest.raises(PublishError) as caught:
        offer(desk, answer)
    assert (type(caught.value), may_retry(caught.value)) == (kind, again)


def test_a_front_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = FrontClient(f"http://127.0.0.1:{taken.getsockname()[1]}", connections=1)
        with pytest.raises(Unreachable):
            client.attempt("mail", task_id="one")
