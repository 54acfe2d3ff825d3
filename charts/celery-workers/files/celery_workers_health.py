"""Probes of a worker's container: `python celery_workers_health.py startup|live`; exit code 0 is healthy.

startup: this worker takes messages and answers a ping through the broker. live: fails only for a worker whose heartbeat
file has been stale and whose broker has answered for UNHEALTHY_SECONDS: a broker that is away, or hangs with its port
open, is no reason to restart workers, and Celery's own reconnect waits up to 30 s. Needs Celery for `startup` only.

What an attempt does not need it does not import: probes of many pods that start at once use the CPU that the workers
start with.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Mapping, Sequence

    from celery import Celery

UNHEALTHY_SECONDS = 90.0
ANSWER_SECONDS = 4.0  # for all brokers of a URL together: less than the probe's own limit, which would count as failed
PING_SECONDS = 5.0
DEFAULT_PORTS = {"amqps": 5671}
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"  # a server that can speak answers it at once, before any login
READY = "ready"  # in the state directory: there while the worker consumes
REACHABLE_SINCE = "broker-reachable-since"  # in the state directory: since when a stale worker's broker has answered


def node_name(environment: Mapping[str, str]) -> str:
    """Return the name the Deployment gives the worker."""
    return f"{environment['CELERY_WORKERS_CLASS']}@{environment['POD_NAME']}"


def probe_app() -> Celery:
    """Return an application with the release's settings and nothing of the user's."""
    from celery import Celery

    app = Celery("probe", set_as_current=False)
    app.config_from_object("celeryconfig")
    return app


def ping(name: str) -> bool:
    """Whether the worker answers through the broker."""
    return bool(probe_app().control.ping(destination=[name], timeout=PING_SECONDS))


def broker_addresses(url: str) -> list[tuple[str, int]]:
    """Return (host, port) of each broker in a Celery broker URL, which may name several."""
    from urllib.parse import urlsplit

    first = urlsplit(url.split(";")[0])
    found = []
    for text in url.split(";"):
        parts = urlsplit(text if "://" in text else f"{first.scheme}://{text}")
        found.append((parts.hostname or "localhost", parts.port or DEFAULT_PORTS.get(parts.scheme, 5672)))
    return found


def answers(address: tuple[str, int], tls: bool, limit_seconds: float = ANSWER_SECONDS) -> bool:
    """Whether a broker says something there; a connection alone the kernel also accepts for one that hangs."""
    import socket
    import ssl

    deadline = time.monotonic() + limit_seconds
    try:
        plain = socket.create_connection(address, timeout=limit_seconds)
        with plain, encrypted(plain) if tls else plain as connection:
            connection.settimeout(max(0.1, deadline - time.monotonic()))
            connection.sendall(PROTOCOL_HEADER)
            return bool(connection.recv(1))
    except ssl.SSLEOFError:
        return False
    except ssl.SSLError:
        return True  # it wants a certificate of ours, or other ciphers, and said so
    except OSError:
        return False


def encrypted(connection: socket.socket) -> ssl.SSLSocket:
    """Return the connection under TLS. Nothing secret goes over it, so who the other is does not matter."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection)


def any_answers(url: str) -> bool:
    """Whether one of the brokers in a Celery broker URL answers."""
    addresses = broker_addresses(url)
    tls = url.startswith("amqps:")
    return any(answers(address, tls, ANSWER_SECONDS / len(addresses)) for address in addresses)


def age_seconds(path: Path, now: float) -> float | None:
    """Return how long ago the file was touched; None when it does not exist."""
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:
        return None


def is_live(directory: Path, url: str, now: float, unhealthy_seconds: float = UNHEALTHY_SECONDS) -> bool:
    """Whether the worker may go on; keeps its memory between calls in `directory`. `now` is epoch seconds."""
    reachable_since = directory / REACHABLE_SINCE
    age = age_seconds(directory / "heartbeat", now)
    # No file at all: the worker has not come so far, which is the startup probe's matter.
    stale = age is not None and age >= unhealthy_seconds
    if not stale or not any_answers(url):
        reachable_since.unlink(missing_ok=True)
        return True
    since = age_seconds(reachable_since, now)
    if since is None:
        reachable_since.touch()
        os.utime(reachable_since, (now, now))
        return True
    return since < unhealthy_seconds


def why_not_started(environment: Mapping[str, str]) -> str | None:
    """Return what the worker's start still lacks; None when it takes messages and answers."""
    name = node_name(environment)
    if not Path(environment["CELERY_WORKERS_STATE_DIR"], READY).exists():
        return f"{name} does not take messages yet"
    return None if ping(name) else f"{name} does not answer a ping"


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run one probe; return the exit code."""
    if arguments == ["startup"]:
        lacks = why_not_started(environment)
        if lacks is None:
            return 0
        print(lacks, file=sys.stderr)
        return 1
    if arguments == ["live"]:
        if is_live(Path(environment["CELERY_WORKERS_STATE_DIR"]), environment["CELERY_BROKER_URL"], time.time()):
            return 0
        print(f"the worker has stood still for {UNHEALTHY_SECONDS:.0f} s though its broker answers", file=sys.stderr)
        return 1
    print("usage: celery_workers_health.py startup|live", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
