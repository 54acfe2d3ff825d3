"""Processes that stand still, as a server does whose machine hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import psutil

STOP_SECONDS = 20.0


@contextlib.contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """Stop a process meanwhile. It acts on the signal when one of its threads next runs, late on a busy machine."""
    os.kill(pid, signal.SIGSTOP)
    try:
        ends_at = time.monotonic() + STOP_SECONDS
        while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < ends_at, f"process {pid} goes on {STOP_SECONDS:.0f} s after SIGSTOP"
            time.sleep(0.01)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
