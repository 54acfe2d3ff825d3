"""Running the programs a cluster is made with: a limit for each, and its output in the error when it fails."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.errors import HarnessError

SHOWN_CHARACTERS = 3000
PROGRESS_SECONDS = 15.0

Say = Callable[[str], None]


def say(text: str) -> None:
    """Tell the person at the terminal what goes on."""
    print(f"cluster: {text}", file=sys.stderr, flush=True)


def run(
    arguments: Sequence[str | Path],
    *,
    doing: str,
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    stdin: str | None = None,
) -> str:
    """Run a program to its end and return its stdout.

    Raises HarnessError with the end of its output when it is missing, fails, or is not done in time (then its whole
    process group is ended).
    """
    process = _start(arguments, doing=doing, environment=environment, directory=directory, piped=stdin is not None)
    try:
        output, errors = _await(process, doing=doing, timeout_seconds=timeout_seconds, stdin=stdin)
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        shown = f"{output}\n{errors}".strip()[-SHOWN_CHARACTERS:]
        raise HarnessError(f"{doing} failed: `{shown_command(arguments)}` ended with {process.returncode}:\n{shown}")
    return output


def succeeds(
    arguments: Sequence[str | Path], *, timeout_seconds: float, environment: Mapping[str, str] | None = None
) -> bool:
    """Whether a program exists and ends with 0 in time; its output is not of interest."""
    try:
        run(arguments, doing="asking", timeout_seconds=timeout_seconds, environment=environment)
    except HarnessError:
        return False
    return True


def shown_command(arguments: Sequence[str | Path]) -> str:
    """Return a command line as a person would type it, long arguments cut."""
    return " ".join(text if len(text := str(argument)) <= 120 else f"{text[:117]}..." for argument in arguments)


def _start(
    arguments: Sequence[str | Path],
    *,
    doing: str,
    environment: Mapping[str, str] | None,
    directory: Path | None,
    piped: bool,
) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **(environment or {})},
            cwd=directory,
            start_new_session=True,
        )
    except OSError as error:
        raise HarnessError(f"{doing}: {arguments[0]} cannot be run: {error.strerror}") from error


def _await(process: subprocess.Popen[str], *, doing: str, timeout_seconds: float, stdin: str | None) -> tuple[str, str]:
    started = time.monotonic()
    while True:
        elapsed = time.monotonic() - started
        try:
            return process.communicate(stdin, timeout=max(0.1, min(PROGRESS_SECONDS, timeout_seconds - elapsed)))
        except subprocess.TimeoutExpired:
            elapsed = time.monotonic() - started
            if elapsed >= timeout_seconds:
                raise HarnessError(f"{doing}: not done after {elapsed:.0f} s, given up") from None
            stdin = None  # communicate goes on with what it was given first
            if elapsed >= PROGRESS_SECONDS:
                say(f"still {doing} ({elapsed:.0f} s)")
