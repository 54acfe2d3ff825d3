"""Servers that all processes of a test run share, each kept by a process of its own while anybody holds on to it.

Who uses a server has a lock on one file. The kernel drops it with the process, however that ends, so nothing outlives
a run that is interrupted or killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from harness import processes, starting, tools
from harness.broker import server
from harness.broker.server import Broker
from harness.files import write_atomically
from harness.services import postgresql
from harness.services.postgresql import PostgreSQL

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 100.0  # within a test's limit; RabbitMQ takes about 8 s on an idle machine
STOP_SECONDS = 5.0
SERVERS: Mapping[str, Callable[[Path], AbstractContextManager[Any]]] = {
    "rabbitmq": server.acquire,
    "postgresql": postgresql.run,
}
Server = TypeVar("Server")

ALONE = pytest.mark.xdist_group("own broker")
"""Marks tests that strike at a RabbitMQ which is not shared: they run in one process, one after the other."""


def rabbitmq(directory: Path) -> AbstractContextManager[Broker]:
    """Yield the RabbitMQ of all who name this directory; what only its own process can do (`control`) is not there."""
    return _shared("rabbitmq", directory, Broker)


def postgres(directory: Path) -> AbstractContextManager[PostgreSQL]:
    """Yield the PostgreSQL of all who name this directory."""
    return _shared("postgresql", directory, PostgreSQL)


@contextlib.contextmanager
def _shared(name: str, directory: Path, kind: Callable[..., Server]) -> Iterator[Server]:
    """Raises HarnessError with the keeper's last words where there is no such server to be had."""
    home = directory / name
    home.mkdir(exist_ok=True)
    with _users(home).open("w") as users:
        with tools.locked(home / "starting.lock", doing=f"start of {name}"):
            fcntl.flock(users, fcntl.LOCK_SH)  # waits for a keeper that is just ending
            if not _told(home).exists():
                _start(name, home)
            found = kind(**json.loads(_told(home).read_text()))
        yield found


def _start(name: str, home: Path) -> None:
    log = home / "keeper.log"
    with log.open("ab") as output, contextlib.ExitStack() as failed:
        keeper = subprocess.Popen(
            [sys.executable, "-m", __name__, name, str(home)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            start_new_session=True,  # it outlives who has started it, for the others
        )
        failed.callback(processes.stop, keeper, grace_seconds=STOP_SECONDS)
        what = f"the shared {name}'s"
        starting.wait_until_up(keeper, _told(home).exists, what=what, seconds=START_SECONDS, logs=[log])
        failed.pop_all()


def keep(name: str, home: Path) -> None:
    """Run a server until nobody holds on to it."""
    with _users(home).open() as users, SERVERS[name](home / "server") as running:
        write_atomically(_told(home), json.dumps(_described(running)))
        fcntl.flock(users, fcntl.LOCK_EX)
        _told(home).unlink()  # under the lock: who comes now starts another


def _described(running: Any) -> dict[str, Any]:
    written = {field.name: getattr(running, field.name) for field in dataclasses.fields(running)}
    return {name: value for name, value in written.items() if name != "control"}


def _users(home: Path) -> Path:
    return home / "users.lock"


def _told(home: Path) -> Path:
    return home / "server.json"


if __name__ == "__main__":
    keep(sys.argv[1], Path(sys.argv[2]))
