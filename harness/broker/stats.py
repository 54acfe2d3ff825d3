"""What a broker says about its queues, as plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WORKERS_HEADER = "x-celery-workers-death"  # of a dead letter that a worker stored itself: queue, reason, error, at


@dataclass(frozen=True)
class QueueStats:
    """One queue at one moment. Counts are messages, rates are messages per second."""

    name: str
    ready: int
    unacked: int
    consumers: int
    publish_rate: float
    deliver_rate: float
    ack_rate: float

    @property
    def total(self) -> int:
        """Messages the queue holds, waiting or being worked on."""
        return self.ready + self.unacked

    @classmethod
    def from_api(cls, document: Mapping[str, Any]) -> QueueStats:
        """Build from one element of `GET /api/queues`. A queue younger than one statistics interval reads as empty."""
        stats = document.get("message_stats") or {}

        def rate(name: str) -> float:
            return float((stats.get(f"{name}_details") or {}).get("rate") or 0.0)

        return cls(
            name=document["name"],
            ready=int(document.get("messages_ready") or 0),
            unacked=int(document.get("messages_unacknowledged") or 0),
            consumers=int(document.get("consumers") or 0),
            publish_rate=rate("publish"),
            deliver_rate=rate("deliver_get"),
            ack_rate=rate("ack"),
        )


@dataclass(frozen=True)
class QueueDepth:
    """What one queue holds at one moment, in messages."""

    ready: int
    unacked: int

    @property
    def total(self) -> int:
        """Messages the queue holds, waiting or being worked on."""
        return self.ready + self.unacked

    @classmethod
    def from_api(cls, document: Mapping[str, Any]) -> QueueDepth:
        """Build from one element of `GET /api/queues`."""
        return cls(int(document.get("messages_ready") or 0), int(document.get("messages_unacknowledged") or 0))


@dataclass(frozen=True)
class DeadLetter:
    """One message of a dead-letter queue."""

    id: str  # Celery task id, "" when the message has none
    task: str
    # failed | timeout | poison | refused | unknown, as a worker says; else what RabbitMQ's x-death says: expired |
    # rejected | maxlen | delivery_limit; "" when nobody says anything
    reason: str
    queue: str  # the queue it died in
    error: str = ""  # what the worker says of it


def version_numbers(version: str) -> tuple[int, ...]:
    """The numbers of a RabbitMQ version, for comparing: "4.0.5-beta.1" is (4, 0, 5)."""
    return tuple(int(part) for part in re.split(r"[-+]", version)[0].split(".") if part.isdigit())
