"""RabbitMQ's management API, and reading dead letters without taking them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx
from kombu import Connection

from harness import direct
from harness.broker.stats import WORKERS_HEADER, DeadLetter, QueueDepth, QueueStats
from harness.errors import HarnessError
from harness.urls import redact


class Management(direct.Connected):
    """A client of one virtual host.

    `url` is `http://user:password@host:15672/vhost`; the path names the virtual host (none: "/"), as KEDA's
    RabbitMQ scaler reads it. Every method raises HarnessError when the API does not answer or refuses.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 5.0) -> None:
        parts = urlsplit(url)
        self.vhost = unquote(parts.path.lstrip("/")) or "/"
        self._shown = redact(url)
        netloc = parts.netloc.rpartition("@")[2]
        self._client = direct.client(
            f"{parts.scheme}://{netloc}",
            auth=(unquote(parts.username or "guest"), unquote(parts.password or "guest")),
            timeout_seconds=timeout_seconds,
        )

    def ping(self) -> bool:
        """Whether the API answers and lets us in."""
        try:
            self.overview()
        except HarnessError:
            return False
        return True

    def overview(self) -> dict[str, Any]:
        """What the API says about the whole broker."""
        return dict(self._json("GET", "/api/overview"))

    def version(self) -> str:
        """RabbitMQ's version, e.g. "3.10.8"; `stats.version_numbers` makes it comparable."""
        return str(self.overview()["rabbitmq_version"])

    def queues(self) -> dict[str, QueueStats]:
        """All queues of the virtual host by name. Figures are up to 10 s old: it is what KEDA sees."""
        return {document["name"]: QueueStats.from_api(document) for document in self.queue_documents()}

    def depths(self) -> dict[str, QueueDepth]:
        """How much every queue holds at this moment, without the statistics' delay."""
        query = "disable_stats=true&enable_queue_totals=true"
        documents = self._json("GET", f"/api/queues/{self._vhost}?{query}")
        return {document["name"]: QueueDepth.from_api(document) for document in documents}

    def queue_documents(self) -> list[dict[str, Any]]:
        """All queues as the API gives them (arguments, policy, type and more)."""
        return list(self._json("GET", f"/api/queues/{self._vhost}"))

    def policies(self) -> dict[str, dict[str, Any]]:
        """The virtual host's policies by name: pattern, definition, priority, apply-to."""
        documents = self._json("GET", f"/api/policies/{self._vhost}")
        return {document["name"]: document for document in documents}

    def exchanges(self) -> dict[str, dict[str, Any]]:
        """The virtual host's exchanges by name, RabbitMQ's own included: type, durable, arguments."""
        return {one["name"]: one for one in self._json("GET", f"/api/exchanges/{self._vhost}")}

    def bindings(self) -> list[dict[str, Any]]:
        """What leads from exchanges to queues: source ("" is the default exchange), routing_key, destination."""
        return list(self._json("GET", f"/api/bindings/{self._vhost}"))

    def put_policy(
        self, name: str, *, pattern: str, definition: Mapping[str, Any], priority: int = 0, apply_to: str = "queues"
    ) -> None:
        """Create or replace one policy."""
        body = {"pattern": pattern, "definition": dict(definition), "priority": priority, "apply-to": apply_to}
        self._call("PUT", f"/api/policies/{self._vhost}/{quote(name, safe='')}", body)

    def connections(self) -> list[str]:
        """Names of the client connections to this virtual host."""
        return [document["name"] for document in self._json("GET", f"/api/vhosts/{self._vhost}/connections")]

    def close_connection(self, name: str) -> None:
        """Have the broker close a client's connection; one that has gone or goes meanwhile is fine."""
        path = f"/api/connections/{quote(name, safe='')}"
        answer = self._call("DELETE", path, fine=(404, 500))
        if answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR and name in self.connections():
            self._call("DELETE", path, fine=(404,))  # it had not ended by itself just then

    def create_queue(self, queue: str, *, arguments: Mapping[str, Any] | None = None) -> None:
        """Make a durable queue; one that is there with the same arguments is fine."""
        body = {"durable": True, "arguments": dict(arguments or {})}
        self._call("PUT", f"/api/queues/{self._vhost}/{quote(queue, safe='')}", body)

    def delete_queue(self, queue: str) -> None:
        """Delete a queue with everything in it."""
        self._call("DELETE", f"/api/queues/{self._vhost}/{quote(queue, safe='')}")

    def create_vhost(self, name: str, *, user: str = "guest") -> None:
        """Make a virtual host and give `user` all rights in it."""
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self._call("PUT", f"/api/vhosts/{quote(name, safe='')}", {})
        self._call("PUT", f"/api/permissions/{quote(name, safe='')}/{quote(user, safe='')}", everything)

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with everything in it."""
        self._call("DELETE", f"/api/vhosts/{quote(name, safe='')}")

    @property
    def _vhost(self) -> str:
        return quote(self.vhost, safe="")

    def _json(self, method: str, path: str) -> Any:
        return self._call(method, path).json()

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, fine: Collection[int] = ()
    ) -> httpx.Response:
        """Send a request; statuses in `fine` are taken for an answer, other errors raise HarnessError."""
        try:
            response = self._client.request(method, path, json=body)
            if response.status_code not in fine:
                response.raise_for_status()
        except httpx.HTTPStatusError as error:
            answer = error.response.text[:300]
            raise HarnessError(
                f"RabbitMQ's management API refused {method} {path} at {self._shown}: "
                f"{error.response.status_code} {answer}"
            ) from error
        except httpx.HTTPError as error:
            raise HarnessError(
                f"RabbitMQ's management API does not answer at {self._shown}: {type(error).__name__} {error}"
            ) from error
        return response


def dead_letters(amqp_url: str, queue: str, *, timeout_seconds: float = 60.0) -> list[DeadLetter]:
    """Every message of `queue`, oldest first; they stay in it.

    Each is fetched without an acknowledgement; closing the channel puts all of them back in their places (marked
    redelivered). Another consumer's unacknowledged messages are not seen. A queue that does not exist reads as empty.
    """
    deadline = time.monotonic() + timeout_seconds
    found: list[DeadLetter] = []
    with Connection(amqp_url, connect_timeout=5) as connection:
        channel = connection.channel()
        try:
            while (message := channel.basic_get(queue, no_ack=False)) is not None:
                found.append(_dead_letter(message.headers or {}, message.properties or {}, queue))
                if time.monotonic() > deadline:
                    raise HarnessError(f"reading the dead letters of {queue} took longer than {timeout_seconds:.0f} s")
        except connection.channel_errors as error:
            if getattr(error, "reply_code", None) != 404:
                raise HarnessError(f"cannot read the dead letters of {queue}: {error}") from error
    return found


def _dead_letter(headers: Mapping[str, Any], properties: Mapping[str, Any], queue: str) -> DeadLetter:
    deaths: Sequence[Mapping[str, Any]] = headers.get("x-death") or [{}]
    death = headers.get(WORKERS_HEADER) or deaths[0]
    return DeadLetter(
        id=str(headers.get("id") or properties.get("correlation_id") or ""),
        task=str(headers.get("task") or ""),
        reason=str(death.get("reason") or headers.get("x-first-death-reason") or ""),
        queue=str(death.get("queue") or headers.get("x-first-death-queue") or queue),
        error=str(death.get("error") or ""),
    )
