"""What a breaker should do, as a few lines of Python on one machine; the scripts in Redis are compared with it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Model:
    threshold: int
    reset_ms: int
    probe_ms: int
    now: int = 1_000_000
    failures: int = 0
    open_until: int | None = None
    probe: tuple[str, int] | None = None  # whose, and until when
    opened: int = field(default=0)

    def admit(self, caller: str) -> tuple[str, int, bool]:
        """State, milliseconds to wait, whether the caller is the one to try."""
        if self.open_until is None:
            return "closed", 0, False
        if self.now < self.open_until:
            return "open", self.open_until - self.now, False
        if self.probe and self.probe[0] != caller and self.now < self.probe[1]:
            return "half-open", self.probe[1] - self.now, False
        self.probe = (caller, self.now + self.probe_ms)
        return "half-open", 0, True

    def record(self, outcome: str, caller: str) -> str:
        """The state afterwards."""
        if self.open_until is None:
            self._count(outcome)
        elif self.probe and self.probe[0] == caller:
            self._end_probe(outcome)
        if self.open_until is None:
            return "closed"
        return "open" if self.now < self.open_until else "half-open"

    def _count(self, outcome: str) -> None:
        if outcome == "success":
            self.failures = 0
        elif outcome == "failure":
            self.failures += 1
            if self.failures >= self.threshold:
                self._open()

    def _end_probe(self, outcome: str) -> None:
        self.probe = None
        if outcome == "success":
            self.open_until, self.failures = None, 0
        elif outcome == "failure":
            self._open()

    def _open(self) -> None:
        self.open_until = self.now + self.reset_ms
        self.opened += 1
