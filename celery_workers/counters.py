"""What a publisher has seen. RabbitMQ has no metric for refused messages, so the publisher must keep it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping

NAMES = (
    "accepted",  # attempts the broker confirmed
    "refused",  # attempts a full queue refused, those stored in a dead-letter queue included
    "refused_stored",  # refused, yet kept in the dead-letter queue
    "unroutable",  # attempts no queue took
    "forbidden",  # attempts the broker does not allow
    "unreachable",  # attempts without a connection
    "unconfirmed",  # attempts without an answer
    "retried",  # attempts after a task's first one, by `Publisher.publish`
    "gave_up",  # tasks `Publisher.publish` ended with an error for
)


class Counters(Mapping[str, int]):
    """Counts by name since their owner was made, by default a publisher's. Safe under threads and greenlets."""

    def __init__(self, names: Iterable[str] = NAMES) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(names, 0)

    def add(self, name: str) -> None:
        """Count one more of `name`."""
        with self._lock:
            self._counts[name] += 1

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __repr__(self) -> str:
        return f"Counters({', '.join(f'{name}={count}' for name, count in self._counts.items())})"
