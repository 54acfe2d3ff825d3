"""Locks between processes."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

POLL_SECONDS = 0.1


@contextlib.contextmanager
def locked(
    path: Path,
    *,
    doing: str,
    within_seconds: float,
    say: Callable[[str], None] | None = None,
    late: type[Exception] = TimeoutError,
) -> Iterator[None]:
    """Hold an exclusive file lock; it ends with this process, so a killed holder blocks nobody.

    `say` is told once where another process has it. Raises `late` where that one keeps it for longer, OSError where
    there can be no such file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + within_seconds
    with path.open("a") as handle:
        while not _try(handle.fileno()):
            if time.monotonic() > deadline:
                raise late(f"waited {within_seconds:.0f} s for another process's {doing} ({path})")
            if say is not None:
                say(f"waiting for another process's {doing}")
                say = None
            time.sleep(POLL_SECONDS)
        yield


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
