"""Stand-ins that note what they are asked for."""

from __future__ import annotations

from typing import Any


class RecordingApi:
    """Notes what is declared in place of RabbitMQ's management API."""

    vhost = "/"

    def __init__(self) -> None:
        self.exchanges: dict[str, str] = {}
        self.queues: dict[str, Any] = {}
        self.bindings: set[tuple[str, str, str]] = set()

    def patient(self, method: str, *path: str, body: Any, deadline: float) -> None:
        if path[0] == "exchanges":
            self.exchanges[path[2]] = body["type"]
        elif path[0] == "queues":
            self.queues[path[2]] = body["arguments"]
        else:
            assert (method, path[2]) == ("POST", "e")
            self.bindings.add((path[3], path[5], body["routing_key"]))
