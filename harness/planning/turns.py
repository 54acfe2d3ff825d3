"""How long a worker's slot is empty between two tasks while others wait: until it has the next one. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from statistics import fmean

LONGEST_SECONDS = 0.25
"""Of a turn. A slot that is empty for longer had nothing to do."""
LEAST_TURNS = 10
"""Fewer say nothing of the usual one."""


def turns(events: Iterable[tuple[float, bool]], slots: int) -> list[float]:
    """Return how long each slot that became empty while all others were at work was empty, in seconds.

    `events` are what one worker told, in its order: when, and whether it received a task or had done one.
    """
    at_work, empty, found = 0, deque[float](), []
    for at, received in events:
        while empty and at - empty[0] > LONGEST_SECONDS:
            empty.popleft()
        if received:
            at_work += 1
            if empty:
                found.append(at - empty.popleft())
        else:
            if at_work + len(empty) >= slots:
                empty.append(at)
            at_work -= 1
    return found


def typical(found: Iterable[float]) -> float | None:
    """Return what a turn takes on average, None where there were too few."""
    known = [*found]
    return fmean(known) if len(known) >= LEAST_TURNS else None
