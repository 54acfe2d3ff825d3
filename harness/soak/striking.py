"""Lets the faults of a soak happen, each when its number of tasks has been accepted, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.chaos.director import Director, Injector, Record
from harness.chaos.schedule import Injection
from harness.soak.strikes import Strike


class Striker:
    """Plays what is left of a run's strikes. `tick` says how many tasks are accepted, and the time."""

    def __init__(self, strikes: Sequence[Strike], injectors: Mapping[str, Injector], *, record: Record) -> None:
        self._left = list(strikes)
        self._injectors = injectors
        self._record = record
        self._director: Director | None = None
        self.fault = ""  # the one that is on

    def tick(self, accepted: int, now: float) -> None:
        """Do what is due. Raises HarnessError for a fault that could not be made."""
        if self._director is None and self._left and accepted >= self._left[0].at_task:
            self._begin(self._left.pop(0), now)
        if self._director is not None:
            self._director.tick(now)
            if self._director.done:
                self._director, self.fault = None, ""

    def close(self) -> None:
        """Undo the fault that is on."""
        if self._director is not None:
            self._director.close()

    def _begin(self, strike: Strike, now: float) -> None:
        fault = strike.fault
        once = Injection(
            fault=fault,
            phase=fault.name,
            phase_start_seconds=0.0,
            start_seconds=0.0,
            end_seconds=fault.seconds,
            phase_end_seconds=fault.seconds,
        )
        self._director, self.fault = Director([once], self._injectors, record=self._record), fault.name
        self._director.start(now)
