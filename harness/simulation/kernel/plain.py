"""First come, first served, where nothing is refused and nobody interferes: no events are needed, only the times.

The same arithmetic in the same order as in `publisher`, `broker` and `workers`, so that the times are equal to the bit.
"""

from __future__ import annotations

import math
from typing import Any

from harness.simulation.kernel import publisher


def first_attempts(due: Any, pace: float, at: Any) -> None:
    """Write when one publisher makes each first attempt."""
    next_at = 0.0
    for i in range(len(due)):
        now = max(due[i], next_at)
        at[i] = now
        next_at = max(next_at, now - publisher.CATCH_UP_SECONDS) + pace


def serve_equal_stays(at: Any, stay: float, servers: int, started: Any, done: Any) -> None:
    """Serve tasks that hold a slot equally long: they end in the order they began in."""
    for i in range(len(at)):
        start = at[i]
        if i >= servers:
            start = max(start, done[i - servers])
        started[i] = start
        done[i] = start + stay


def serve_stays(at: Any, stay: Any, free: Any, started: Any, done: Any) -> None:
    """Serve tasks by the slot that is free first; `free` is a heap of when each one is, all 0 at the start."""
    for i in range(len(at)):
        start = max(at[i], free[0])
        end = start + stay[i]
        started[i] = start
        done[i] = end
        _replace_first(free, end)


def _replace_first(free: Any, at: float) -> None:
    count = len(free)
    hole, child = 0, 1
    while child < count:
        if child + 1 < count and free[child + 1] < free[child]:
            child += 1
        if at <= free[child]:
            break
        free[hole] = free[child]
        hole, child = child, 2 * child + 1
    free[hole] = at


def count_by_second(times: Any, counts: Any, parts: Any) -> None:
    """Count times by the whole second at or after each, and add up how long before it they were.

    What is later than the last second, and a time that never came, counts nowhere.
    """
    last = len(counts) - 1
    for i in range(len(times)):
        if times[i] <= last:
            second = math.ceil(times[i])
            counts[second] += 1
            parts[second] += second - times[i]
