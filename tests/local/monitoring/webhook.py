"""A stand-in for what calls people: it keeps what Alertmanager sends it, by path."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """`url` is where it listens; what was sent stands in `notifications`, a path and a document each."""

    def __init__(self) -> None:
        self.url = ""
        self.notifications: list[tuple[str, dict[str, Any]]] = []

    def alerts(self, path: str, status: str) -> list[dict[str, Any]]:
        """Return the alerts that were sent to a path as firing or resolved, in order."""
        return [
            alert
            for at, notification in list(self.notifications)
            for alert in notification["alerts"]
            if at == path and alert["status"] == status
        ]

    def names(self, path: str, status: str) -> set[str]:
        """Return the names of these alerts."""
        return {alert["labels"]["alertname"] for alert in self.alerts(path, status)}


@contextlib.contextmanager
def listening() -> Iterator[Webhook]:
    """Listen on a free loopback port for the block's time."""
    webhook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            webhook.notifications.append((self.path, json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    webhook.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield webhook
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
