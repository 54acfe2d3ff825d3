"""Waiting and trying again inside a task.

A task does not republish itself (`self.retry`): a message sent into a full queue can be lost, and a countdown holds
prefetch slots on newer brokers. A sleeping greenlet or thread costs next to nothing, and the message stays
unacknowledged, so a dying worker loses nothing.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class TemporaryError(Exception):
    """A service refused for now; `retry_after_seconds` is what it asked for, None if it did not say."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class BusyError(TemporaryError):
    """A service that is well refused for now, as with 429: it answered."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """At most `attempts` tries; the wait doubles from `first_seconds` up to `longest_seconds`, with full jitter."""

    attempts: int = 8
    first_seconds: float = 0.25
    longest_seconds: float = 10.0
    total_seconds: float = 200.0
    """No new try starts later than this: below the classes' hard time limit of 300 s, with the last try's timeout."""

    def delay_seconds(self, *, attempt: int, retry_after_seconds: float | None, draw: float) -> float:
        """The wait after try number `attempt` (from 1); `draw` is uniform in [0, 1).

        A service's own Retry-After is a lower bound: the jitter comes on top, so that refused callers spread out.
        """
        backoff = min(self.longest_seconds, self.first_seconds * 2.0 ** (attempt - 1)) * draw
        return backoff if retry_after_seconds is None else min(retry_after_seconds, self.total_seconds) + backoff


def call(
    step: Callable[[], T],
    *,
    policy: Policy,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
    draw: Callable[[], float] = random.random,
) -> T:
    """The result of `step`, tried again on TemporaryError as the policy allows; then that failure passes through."""
    started = clock()
    attempt = 0
    while True:
        attempt += 1
        try:
            return step()
        except TemporaryError as failure:
            delay = policy.delay_seconds(attempt=attempt, retry_after_seconds=failure.retry_after_seconds, draw=draw())
            if attempt >= policy.attempts or clock() - started + delay > policy.total_seconds:
                raise
        sleep(delay)
