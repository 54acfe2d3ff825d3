"""A stand-in for what calls people: it keeps what Alertmanager sends it, by path."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.local.monitoring.serving import Quiet, serving


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

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            webhook.notifications.append((self.path, json.loads(body)))
            self.send_response(200)
            self.end_headers()

    with serving(Handler) as address:
        webhook.url = address
        yield webhook
