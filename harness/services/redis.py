"""Getting a Redis for one run."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import redis as client

from harness import packages, processes, starting
from harness.errors import InputError
from harness.urls import redact

START_SECONDS = 20.0  # 0.1 s on an idle machine
ANSWER_SECONDS = 3.0
PROGRAMS = ("redis-server", "valkey-server")

INSTALL_HELP = """\
no Redis in reach. Do one of these:
  Debian, Ubuntu   apt-get install redis-server   (as root this is done for you)
  Fedora           dnf install valkey
  macOS            brew install redis
  any              set REDIS_URL=redis://:password@host:6379/0"""


@dataclass(frozen=True)
class Redis:
    """A Redis that answers. `pid` is the server's when we run it ourselves."""

    url: str = field(repr=False)  # carries the password
    pid: int | None = None


def find_server() -> Path | None:
    """The server's program, or None when none is installed."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return Path(found) if found else None


def prepare() -> str:
    """Make sure that `run` will find a Redis, installing the distribution's package if need be; return where it is.

    Raises as `run` does.
    """
    if given := os.environ.get("REDIS_URL"):
        _check(given)
        return "given"
    return str(_server())


@contextlib.contextmanager
def run(directory: Path, *, port: int | None = None) -> Iterator[Redis]:
    """Yield the Redis at $REDIS_URL, or one of our own below `directory` that ends with the block.

    Raises InputError for a given one that does not answer, and as `serve` does.
    """
    if given := os.environ.get("REDIS_URL"):
        _check(given)
        yield Redis(given)
        return
    with serve(directory, port=port) as running:
        yield running


@contextlib.contextmanager
def serve(directory: Path, *, port: int | None = None, password: str | None = None) -> Iterator[Redis]:
    """Run a Redis of our own, on loopback and with a password, until the block ends. It keeps nothing on disk.

    `port` and `password` serve one that shall come back under the URL it had. Raises InputError for a port that is
    taken, HarnessError when there is no way to a Redis or it does not come up.
    """
    server = _server()
    if port is not None:
        processes.require_free_port(port, option="Redis' port")
    directory.mkdir(parents=True, exist_ok=True)
    password = password or secrets.token_urlsafe(16)
    with contextlib.ExitStack() as stack:
        yield starting.with_retries(
            stack, lambda trial, _: _start(trial, server, directory, port or processes.free_port(), password)
        )


def _start(stack: contextlib.ExitStack, server: Path, directory: Path, port: int, password: str) -> Redis:
    configuration = directory / "redis.conf"
    configuration.touch(mode=0o600)  # the password stands there, not among the arguments
    configuration.write_text(configuration_text(port, password))
    log = directory / "redis.log"
    process = processes.start([server, configuration.resolve()], log=log, cwd=directory)
    # Killed, not asked: it has nothing to keep.
    stack.callback(processes.stop, process, grace_seconds=2.0, first_signal=signal.SIGKILL)
    running = Redis(f"redis://:{password}@{processes.LOOPBACK}:{port}/0", process.pid)
    starting.wait_until_up(process, lambda: _answers(running.url), what="Redis'", seconds=START_SECONDS, logs=[log])
    return running


def configuration_text(port: int, password: str) -> str:
    """redis.conf of a server that serves one run on this machine."""
    return "\n".join(
        (
            f"bind {processes.LOOPBACK}",
            f"port {port}",
            f"requirepass {password}",
            'save ""',
            "appendonly no",
            "daemonize no",
            "databases 16",
            "",
        )
    )


def _answers(url: str) -> bool:
    try:
        return _ping(url)
    except client.RedisError:
        return False


def _server() -> Path:
    return packages.ensure("redis-server", find_server, what="Redis", help_text=INSTALL_HELP)


def _check(url: str) -> None:
    try:
        _ping(url)
    except ValueError as error:  # redis' message names the schemes it takes, not the URL
        raise InputError(f"REDIS_URL must look like redis://:password@host:6379/0: {error}") from error
    except client.RedisError as error:
        raise InputError(
            f"no Redis answers at REDIS_URL ({redact(url)}), {type(error).__name__}: start it, or unset REDIS_URL"
        ) from error


def _ping(url: str) -> bool:
    with client.Redis.from_url(
        url, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS, retry=None
    ) as one:
        return bool(one.ping())
