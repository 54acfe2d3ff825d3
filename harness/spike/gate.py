"""Keeps retries away from a queue that has just refused one. Pure."""

from __future__ import annotations

MAX_HOLDS = 8
"""The hold doubles while nothing is accepted, up to this many times its first length."""


class Gate:
    """One queue's gate: a refusal shuts it for a while, longer each time nothing was accepted in between.

    First attempts pass it all the same (an open workload does not slow down because the queue is full); only retries
    wait. Without it thousands of waiting tasks would offer themselves to a full queue again and again.
    """

    def __init__(self, *, hold_seconds: float) -> None:
        self._first_hold_seconds = hold_seconds
        self._hold_seconds = hold_seconds
        self.opens_at = 0.0

    def is_open(self, now: float) -> bool:
        """Whether a retry may go."""
        return now >= self.opens_at

    def refused(self, now: float) -> None:
        """Shut the gate; one that is shut already stays as it is."""
        if self.is_open(now):
            self.opens_at = now + self._hold_seconds
            self._hold_seconds = min(2 * self._hold_seconds, MAX_HOLDS * self._first_hold_seconds)

    def accepted(self) -> None:
        """Note that the queue takes messages again."""
        self._hold_seconds = self._first_hold_seconds
