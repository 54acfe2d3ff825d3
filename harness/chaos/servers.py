"""Servers that a fault ends and starts again, made of what runs them for a block."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import psutil

from harness.errors import HarnessError


class Running(Protocol):
    """A server that answers."""

    @property
    def pid(self) -> int | None:
        """Its process."""

    @property
    def url(self) -> str:
        """Its address, the same after each start."""


class Restartable:
    """A server by what serves it: `serve()` is entered once more for each start, and returns when it answers.

    It ends with the block of this object.
    """

    def __init__(self, serve: Callable[[], contextlib.AbstractContextManager[Running]]) -> None:
        self._serve = serve
        self._stack = contextlib.ExitStack()
        self._running: Running | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The server's address. Raises HarnessError before it was ever started."""
        if self._running is None:
            raise HarnessError("this server was never started")
        return self._running.url

    @property
    def runs(self) -> bool:
        """Whether its process is there and not about to be collected."""
        pid = None if self._running is None else self._running.pid
        try:
            return pid is not None and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def signal(self, number: int) -> None:
        """Send it a signal, where it runs."""
        if self.runs and self._running is not None and self._running.pid is not None:
            os.kill(self._running.pid, number)

    def signal_all(self, number: int) -> None:
        """Send a signal to it and to every process it has started, it first: where it is stopped it starts no more."""
        if not self.runs or self._running is None or self._running.pid is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(self._running.pid)
            family.send_signal(number)
            for child in family.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.send_signal(number)

    def start(self) -> None:
        """Start it again where it was, and return when it answers. Raises HarnessError."""
        self.signal(signal.SIGKILL)
        self._stack.close()  # collects the process, frees its port
        self._stack = contextlib.ExitStack()
        self._running = self._stack.enter_context(self._serve())

    def answers(self) -> bool:
        """Whether it serves; `start` has waited for that."""
        return self.runs
