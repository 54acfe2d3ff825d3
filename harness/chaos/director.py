"""Lets the faults of a schedule happen, each at its time, and writes down what it did."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from harness.chaos.schedule import Injection
from harness.errors import HarnessError

OVERRUN_SECONDS = 60.0
"""How much longer than planned a fault may take that ends by itself; those after it then come later."""

Record = Callable[[str, str, str], None]
"""Takes what happened: the fault, what it did (begins, strikes, ends, stays), in words."""


class Injector(Protocol):
    """Makes one kind of fault. Nothing here may wait for longer than a moment: the same thread keeps the pods going."""

    def begin(self) -> str:
        """Strike for the first time; return in words whom."""

    def again(self) -> str:
        """Strike once more."""

    def over(self) -> bool:
        """Advance what takes its time; whether the fault has ended by itself."""

    def end(self) -> str:
        """Undo what does not undo itself; return in words what is back. Safe when the fault never began."""


@dataclass
class _Running:
    injection: Injection
    next_strike_at: float
    ends_at: float


class Director:
    """Plays a schedule. `start` says when the load begins, `tick` what time it is: seconds since the epoch."""

    def __init__(self, schedule: Iterable[Injection], injectors: Mapping[str, Injector], *, record: Record) -> None:
        self._waiting = list(schedule)
        self._injectors = injectors
        self._record = record
        self._running: _Running | None = None
        self._started_at: float | None = None

    def start(self, at: float) -> None:
        """Count the schedule's seconds from this moment."""
        self._started_at = at

    @property
    def done(self) -> bool:
        """Whether every fault has been and gone."""
        return not self._waiting and self._running is None

    def tick(self, now: float) -> None:
        """Do what is due. Raises HarnessError for a fault that could not be made."""
        if self._started_at is None:
            return
        if self._running is not None:
            self._advance(self._running, now)
        elif self._waiting and now >= self._started_at + self._waiting[0].start_seconds:
            self._begin(self._waiting.pop(0), now)

    def close(self) -> None:
        """Undo the fault that is on, so that what runs can be stopped in the ordinary way."""
        if self._running is not None:
            with contextlib.suppress(HarnessError):
                self._end(self._running)

    def _begin(self, injection: Injection, now: float) -> None:
        every = injection.fault.every_seconds or injection.fault.seconds
        self._running = _Running(injection, now + every, now + injection.fault.seconds)
        self._note("begins", self._injector.begin())

    def _advance(self, running: _Running, now: float) -> None:
        fault = running.injection.fault
        last = running.ends_at + (OVERRUN_SECONDS if fault.ends_itself else 0.0)
        if self._injector.over() or now >= last:
            self._end(running)
        elif fault.every_seconds and now >= running.next_strike_at:
            running.next_strike_at += fault.every_seconds
            self._note("strikes", self._injector.again())

    def _end(self, running: _Running) -> None:
        text = self._injectors[running.injection.fault.name].end()
        self._note("ends", text)
        self._running = None

    @property
    def _injector(self) -> Injector:
        assert self._running is not None
        return self._injectors[self._running.injection.fault.name]

    def _note(self, what: str, text: str) -> None:
        assert self._running is not None
        self._record(self._running.injection.fault.name, what, text)
