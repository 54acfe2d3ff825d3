"""Broker URLs, and whether anything answers there."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from harness.errors import InputError

_AMQP_PORTS = {"amqp": 5672, "pyamqp": 5672, "amqps": 5671}


@dataclass(frozen=True)
class BrokerUrl:
    """The parts of an AMQP URL."""

    scheme: str
    user: str
    password: str
    host: str
    port: int
    vhost: str

    @property
    def shown(self) -> str:
        """The URL fit for a message: no password."""
        return f"{self.scheme}://{self.user}@{self.host}:{self.port}/{quote(self.vhost, safe='')}"

    def management_guess(self) -> str:
        """Where RabbitMQ's management API is unless someone moved it."""
        scheme, port = ("https", 15671) if self.scheme == "amqps" else ("http", 15672)
        credentials = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"{scheme}://{credentials}@{self.host}:{port}/{quote(self.vhost, safe='')}"


def parse_amqp(url: str, *, source: str) -> BrokerUrl:
    """Split an AMQP URL; `source` names where it came from in the InputError for one that is malformed."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InputError(f"{source} is not a URL: {error}") from error
    if parts.scheme not in _AMQP_PORTS or not parts.hostname:
        raise InputError(f"{source} must look like amqp://user:password@host:5672/vhost")
    return BrokerUrl(
        scheme=parts.scheme,
        user=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        host=parts.hostname,
        port=port or _AMQP_PORTS[parts.scheme],
        vhost=unquote(parts.path[1:]) or "/",
    )


def accepts_tcp(host: str, port: int, *, timeout_seconds: float = 3.0) -> bool:
    """Whether something accepts a connection there."""
    try:
        with socket.create_connection((host, port), timeout=timeout_seconds):
            return True
    except OSError:
        return False
