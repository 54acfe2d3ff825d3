"""Child processes that end with the harness, free ports, and waits that have a limit."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, InputError

LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.1


def start(
    arguments: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    account: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its output appended to `log`.

    `account` names a user of this machine that it runs as, which root alone can ask for.
    On Linux the kernel kills it when the calling thread ends (setpriv --pdeathsig), so call from a thread that lives
    as long as the process should.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            [*_die_with_parent(), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
            **as_account(account),
        )


def as_account(account: str | None) -> dict[str, Any]:
    """Arguments of `subprocess` that make a child run as that user, with none of our own groups; none for None."""
    if account is None:
        return {}
    entry = pwd.getpwnam(account)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}


def _die_with_parent() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def stop(process: subprocess.Popen[bytes], *, grace_seconds: float, first_signal: int = signal.SIGTERM) -> int:
    """End a process of `start` and its group: `first_signal`, then SIGKILL after the grace. Returns its exit code."""
    if process.poll() is None:
        process.send_signal(first_signal)
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            kill_group(process)
    kill_group(process)
    return process.wait()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL whatever is left of the group that `start` made."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def free_port() -> int:
    """Return a TCP port that was free on loopback a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def require_free_port(port: int, *, option: str) -> int:
    """Return `port`, or raise InputError naming the option that asked for it when something listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise InputError(f"{option} {port}: the port is taken; choose another or leave {option} out") from error
    return port


def wait_until(
    condition: Callable[[], bool], *, timeout_seconds: float, what: str, process: subprocess.Popen[bytes] | None = None
) -> None:
    """Return once `condition` holds.

    Raises HarnessError saying `what` was waited for: at the limit, or when `process` ends before.
    """
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if process is not None and process.poll() is not None:
            raise HarnessError(f"{what}: the process ended with code {process.returncode}")
        if time.monotonic() > deadline:
            raise HarnessError(f"{what}: not there after {timeout_seconds:g} s")
        time.sleep(POLL_SECONDS)
