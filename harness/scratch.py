"""Temporary directories that go with their block, and with the next one made where their process was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "celery-workers-"
MARK = ".in-use"  # locked for as long as the process lives that made the directory


@contextlib.contextmanager
def directory(purpose: str) -> Iterator[Path]:
    """Yield a new temporary directory with the purpose in its name, and remove it at the block's end.

    What killed processes have left of such directories is removed first. Raises OSError where none can be made.
    """
    _remove_abandoned()
    made = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-"))
    mark = made / MARK
    kept = False
    try:
        with mark.open("x") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            held.write(f"{os.getpid()}\n")
            held.flush()
            try:
                yield made
            finally:
                kept = not mark.exists()
    finally:
        if not kept:
            shutil.rmtree(made, ignore_errors=True)


def keep(made: Path) -> None:
    """Have a directory of this module outlive its block, for somebody to look into."""
    (made / MARK).unlink(missing_ok=True)


def _remove_abandoned() -> None:
    for mark in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{MARK}"):
        with contextlib.suppress(OSError):  # another user's, or another process removes it at this moment
            _remove_if_abandoned(mark)


def _remove_if_abandoned(mark: Path) -> None:
    # Neither a link nor a pipe of somebody else's making is followed or waited for.
    with os.fdopen(os.open(mark, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)) as found:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if found.read():  # an empty one is about to be locked by who makes it
            shutil.rmtree(mark.parent, ignore_errors=True)
