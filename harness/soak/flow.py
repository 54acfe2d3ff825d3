"""How much a publisher may send now: what the queues have room for, and what the rate allows. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

FULLNESS = 0.3
"""Of a queue's limit: enough for some seconds of work, and far from being refused."""
WITHOUT_LIMIT_MESSAGES = 2000


def marks(topology: Mapping[str, Any]) -> dict[str, int]:
    """Return how many messages may wait in each work queue."""
    return {
        name: max(1, round(queue["max_length_messages"] * FULLNESS))
        if queue.get("max_length_messages")
        else WITHOUT_LIMIT_MESSAGES
        for name, queue in topology["queues"].items()
    }


def rooms(marks: Mapping[str, int], ready: Mapping[str, int]) -> dict[str, int]:
    """Return how many more messages each queue is to get."""
    return {name: max(0, mark - ready.get(name, 0)) for name, mark in marks.items()}


def fitting(queues: Iterable[str], rooms: Mapping[str, int]) -> int:
    """Return how many of these messages, in this order, may go: up to the first that has no room."""
    used: Counter[str] = Counter()
    count = 0
    for queue in queues:
        if used[queue] >= rooms.get(queue, 0):
            break
        used[queue] += 1
        count += 1
    return count


def allowed(sent: int, seconds: float, per_second: float | None, *, at_most: int) -> int:
    """Return how many more may be sent by now at a rate; None: as many as one wants."""
    if per_second is None:
        return at_most
    return max(0, min(at_most, int(seconds * per_second) - sent))
