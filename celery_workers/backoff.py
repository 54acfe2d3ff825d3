"""How long to wait before offering a refused task again. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Uniform(Protocol):
    """What is needed of a random generator; `random.Random` has it."""

    def random(self) -> float:
        """Return a float in [0, 1)."""


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Exponential delays with a ceiling, each shortened by chance so that many waiters do not return together.

    The delay after attempt n (1, 2, ...) lies in ((1 - jitter) * d, d] with d = min(max, first * factor ** (n - 1)).
    """

    first_seconds: float = 0.1
    factor: float = 2.0
    max_seconds: float = 5.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.first_seconds <= self.max_seconds:
            raise ValueError(
                f"first_seconds must be above 0 and at most max_seconds, not {self.first_seconds} of {self.max_seconds}"
            )
        if self.factor < 1:
            raise ValueError(f"factor must be at least 1, not {self.factor}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must lie in 0..1, not {self.jitter}")

    def ceiling_seconds(self, attempt: int) -> float:
        """Return the longest delay after attempt `attempt` (1, 2, ...)."""
        if attempt < 1:
            raise ValueError(f"attempts are counted from 1, not {attempt}")
        try:
            return min(self.max_seconds, self.first_seconds * self.factor ** (attempt - 1))
        except OverflowError:  # a float holds 1e308 only
            return self.max_seconds

    def delay_seconds(self, attempt: int, rng: Uniform) -> float:
        """Return the delay after attempt `attempt`, drawn from `rng`."""
        return self.ceiling_seconds(attempt) * (1.0 - self.jitter * rng.random())
