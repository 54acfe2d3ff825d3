"""Starting a server of our own: again on other ports when they were taken, and with its last words when it fails."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from harness import processes
from harness.errors import HarnessError
from harness.logs import tail

T = TypeVar("T")
ATTEMPTS = 3  # ports are chosen a moment before they are bound; another process may take one in between


def with_retries(stack: contextlib.ExitStack, start: Callable[[contextlib.ExitStack, int], T]) -> T:
    """Return what `start` makes; it is given a stack for what has to end with it, and the number of the attempt.

    What the stack of the attempt that came up holds ends with `stack`. Raises the last attempt's HarnessError.
    """
    for attempt in range(1, ATTEMPTS + 1):
        with contextlib.ExitStack() as trial:
            try:
                running = start(trial, attempt)
            except HarnessError:
                if attempt == ATTEMPTS:
                    raise
                continue
            stack.push(trial.pop_all())
            return running
    raise AssertionError("unreachable")


def wait_until_up(
    process: subprocess.Popen[bytes],
    answers: Callable[[], bool],
    *,
    what: str,
    seconds: float,
    logs: Sequence[Path],
    more: Path | None = None,
) -> None:
    """Return when it answers. Raises HarnessError with the end of its logs when it does not in time, or ends.

    `more` is a directory in which it makes further logs.
    """
    try:
        processes.wait_until(answers, timeout_seconds=seconds, what=f"{what} start", process=process)
    except HarnessError as error:
        words = "\n".join(tail(path) for path in (*logs, *(more.glob("*.log") if more else ())))
        raise HarnessError(f"{error}; its last words:\n{words}") from error
