"""`python -m examx.standins`: run the stand-in services until told to stop (TERM or Ctrl-C)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from examx.standins import documents, http, smtp
from examx.standins.journal import Journal
from examx.standins.profile import Profile, ProfileError, load
from examx.standins.service import Desk

EXIT_BAD_INPUT = 2
WANTED_OPEN_FILES = 8192
"""1,500 connections on each side, kept ones included, with room to spare."""


class StartError(Exception):
    """The stand-ins cannot start; the message says what to change."""


def main(arguments: list[str] | None = None) -> int:
    """Run; 0 after a clean stop, 2 with one message where the input is unusable."""
    options = _parser().parse_args(arguments)
    try:
        profile = _profile(options.profile)
        _forget(options.ready_file)
        with contextlib.closing(_journal(options.directory)) as journal:
            listeners = [_listen(options, name) for name in ("smtp_port", "http_port")]
            _allow_open_files()
            documents.make_defaults()
            asyncio.run(_serve(Desk(profile=profile, journal=journal), listeners, options.ready_file))
    except (StartError, ProfileError) as error:
        print(f"examx.standins: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examx.standins", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--smtp-port", type=int, default=1025, help="0 takes a free one (default %(default)s)")
    parser.add_argument("--http-port", type=int, default=8025, help="0 takes a free one (default %(default)s)")
    parser.add_argument("--directory", type=Path, required=True, help="where deliveries.jsonl is written")
    parser.add_argument("--profile", type=Path, help="JSON file: latency, errors and refusals of each service")
    parser.add_argument("--ready-file", type=Path, help="written when all ports answer: ports and process id as JSON")
    return parser


def _profile(path: Path | None) -> Profile:
    if path is None:
        return Profile()
    try:
        return load(path.read_text(), name=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"--profile {path}: {error}") from error


def _forget(ready_file: Path | None) -> None:
    """Remove the ready file that stand-ins which were killed have left: it names dead ports."""
    try:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)
    except OSError as error:
        raise StartError(f"--ready-file {ready_file}: {error}") from error


def _journal(directory: Path) -> Journal:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return Journal(directory / "deliveries.jsonl")
    except OSError as error:
        raise StartError(f"--directory {directory}: {error}") from error


def _listen(options: argparse.Namespace, name: str) -> socket.socket:
    port: int = getattr(options, name)
    option = f"--{name.replace('_', '-')}"
    try:
        return socket.create_server((options.host, port), backlog=smtp.BACKLOG)
    except OverflowError as error:
        raise StartError(f"{option} {port}: expected 0 to 65535") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"port {port} on {options.host} is already taken; give {option} another one (0 takes a free one)"
            ) from error
        raise StartError(f"cannot listen on {options.host} port {port}: {error.strerror or error}") from error


def _allow_open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_OPEN_FILES if hard == resource.RLIM_INFINITY else min(WANTED_OPEN_FILES, hard)
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(desk: Desk, listeners: list[socket.socket], ready_file: Path | None) -> None:
    """Serve until TERM or INT. What is still waiting then was not acknowledged and is not recorded."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    smtp_listener, http_listener = listeners
    server = await smtp.start(desk, smtp_listener)
    runner = await http.start(desk, http_listener)
    if ready_file is not None:
        _announce(ready_file, smtp_listener.getsockname()[1], http_listener.getsockname()[1])
    await stop.wait()
    server.close()
    await runner.cleanup()
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)


def _announce(ready_file: Path, smtp_port: int, http_port: int) -> None:
    """Write the ready file whole or not at all."""
    document = {"smtp_port": smtp_port, "http_port": http_port, "pid": os.getpid()}
    partial = ready_file.with_name(f".{ready_file.name}.{os.getpid()}")
    try:
        partial.write_text(json.dumps(document) + "\n")
        partial.replace(ready_file)
    except OSError as error:
        raise StartError(f"--ready-file {ready_file}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
