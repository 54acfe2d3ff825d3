"""Tasks that are due later wait in RabbitMQ, by kombu's scheme of delay queues, where the release has them. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from celery.utils.time import maybe_iso8601, maybe_make_aware
from kombu.transport.native_delayed_delivery import calculate_routing_key, level_name

SHORTEST_SECONDS = 0.5  # what is due sooner goes to its queue at once, and a worker holds it


@dataclass(frozen=True)
class Delays:
    """The delay queues of the release `prefix`: the highest has 2^`highest_level` seconds."""

    prefix: str
    highest_level: int

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Delays | None:
        """Read the parsed topology.json; None where there are none."""
        settings = document.get("delayed_delivery")
        return cls(document["release"], settings["highest_level"]) if settings else None

    def place(self, options: Mapping[str, Any], queue: str, now: datetime | None = None) -> dict[str, Any]:
        """Return the options that have a task wait on its way to `queue`; those given where it need not.

        Rounded up, so that no task is early. One whose wait is longer than all the queues keeps its eta for the rest.
        One that expires before it is due comes when it has, and a worker drops it. The timestamp is when the task comes
        to its queue: it was not waiting for a worker before.
        """
        now = now or datetime.now(UTC)
        seconds = seconds_left(options, now)
        if seconds <= SHORTEST_SECONDS or options.get("exchange"):
            return dict(options)
        waited = min(math.ceil(seconds), 2 ** (self.highest_level + 1) - 1)
        placed = {
            **options,
            "exchange": level_name(self.highest_level, self.prefix),
            "routing_key": calculate_routing_key(waited, queue),
            "timestamp": int(now.timestamp()) + waited,
        }
        if waited >= seconds:
            placed.update(countdown=None, eta=None)
        return placed


def seconds_left(options: Mapping[str, Any], now: datetime) -> float:
    """Return how long until a task with these options is due, 0 for one that is; a countdown goes before an eta."""
    if options.get("countdown"):
        return float(options["countdown"])
    eta = options.get("eta")
    if not eta:
        return 0.0
    due = maybe_make_aware(maybe_iso8601(eta))
    return float((due - now).total_seconds())
