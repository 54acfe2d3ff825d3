"""What a publisher has seen. RabbitMQ has no metric for refused messages, so the publisher must keep it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping

OTHER = "other"  # every queue that is not among those a counter was made for

NAMES = (
    "accepted",  # attempts the broker confirmed
    "refused",  # attempts a full queue refused, those stored in a dead-letter queue included
    "refused_stored",  # refused, yet kept in the dead-letter queue
    "unroutable",  # attempts no queue took
    "forbidden",  # attempts the broker does not allow
    "unreachable",  # attempts without a connection
    "unconfirmed",  # attempts without an answer
    "retried",  # attempts after a task's first one, by `Publisher.publish` and `publish_many`
    "gave_up",  # tasks these two ended with an error for
    "kept",  # tasks a keeper, such as an outbox, took instead
)


class Counters(Mapping[str, int]):
    """Counts by name since the publisher was made. Safe under threads and greenlets.

    They are kept by queue too, for the queues named in `queues`; all others count together as "other", so that names
    made up at run time cannot fill the memory, nor a metrics store.
    """

    def __init__(self, queues: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(NAMES, 0)
        self._by_queue = {queue: dict.fromkeys(NAMES, 0) for queue in (*queues, OTHER)}

    def add(self, name: str, *, queue: str = OTHER) -> None:
        """Count one more of `name`."""
        with self._lock:
            self._counts[name] += 1
            self._by_queue.get(queue, self._by_queue[OTHER])[name] += 1

    def by_queue(self) -> dict[str, dict[str, int]]:
        """Return queue -> name -> count at this moment, for every known queue and "other"."""
        with self._lock:
            return {queue: dict(counts) for queue, counts in self._by_queue.items()}

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __repr__(self) -> str:
        return f"Counters({', '.join(f'{name}={count}' for name, count in self._counts.items())})"
