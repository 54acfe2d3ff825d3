"""Probes of a worker's container: `python celery_workers_health.py startup|live`; exit code 0 is healthy.

startup: this worker answers a ping through the broker. live: fails only for a worker whose heartbeat file has been
stale and whose broker has accepted connections for UNHEALTHY_SECONDS: a broker that is away is no reason to restart
workers, and Celery's own reconnect waits up to 30 s. Needs Celery for `startup` only.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from celery import Celery

UNHEALTHY_SECONDS = 90.0
CONNECT_SECONDS = 3.0
PING_SECONDS = 5.0
DEFAULT_PORTS = {"amqps": 5671}
REACHABLE_SINCE = "broker-reachable-since"  # in the state directory: since when a stale worker's broker has answered


def node_name(environment: Mapping[str, str]) -> str:
    """Return the name the Deployment gives the worker."""
    return f"{environment['CELERY_WORKERS_CLASS']}@{environment['POD_NAME']}"


def probe_app() -> Celery:
    """Return an application with the release's settings and nothing of the user's."""
    from celery import Celery  # not for `live`, which runs every few seconds and should stay cheap

    app = Celery("probe", set_as_current=False)
    app.config_from_object("celeryconfig")
    return app


def ping(name: str) -> bool:
    """Whether the worker answers through the broker."""
    return bool(probe_app().control.ping(destination=[name], timeout=PING_SECONDS))


def broker_addresses(url: str) -> list[tuple[str, int]]:
    """Return (host, port) of each broker in a Celery broker URL, which may name several."""
    first = urlsplit(url.split(";")[0])
    found = []
    for text in url.split(";"):
        parts = urlsplit(text if "://" in text else f"{first.scheme}://{text}")
        found.append((parts.hostname or "localhost", parts.port or DEFAULT_PORTS.get(parts.scheme, 5672)))
    return found


def accepts_tcp(address: tuple[str, int]) -> bool:
    """Whether something accepts a connection there."""
    try:
        with socket.create_connection(address, timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False


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
    if not stale or not any(accepts_tcp(address) for address in broker_addresses(url)):
        reachable_since.unlink(missing_ok=True)
        return True
    since = age_seconds(reachable_since, now)
    if since is None:
        reachable_since.touch()
        os.utime(reachable_since, (now, now))
        return True
    return since < unhealthy_seconds


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run one probe; return the exit code."""
    if arguments == ["startup"]:
        name = node_name(environment)
        if ping(name):
            return 0
        print(f"{name} does not answer a ping", file=sys.stderr)
        return 1
    if arguments == ["live"]:
        if is_live(Path(environment["CELERY_WORKERS_STATE_DIR"]), environment["CELERY_BROKER_URL"], time.time()):
            return 0
        print(f"the worker has stood still for {UNHEALTHY_SECONDS:.0f} s with its broker in reach", file=sys.stderr)
        return 1
    print("usage: celery_workers_health.py startup|live", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
