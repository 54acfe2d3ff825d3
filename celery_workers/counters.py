"""What a publisher has seen. RabbitMQ has no metric for refused messages, so the publisher must keep it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping

from celery_workers.errors import PublishError, QueueFull, Unconfirmed, Unreachable, Unroutable

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


class QueueCounters(Counters):
    """A publisher's counts, kept by queue too for the queues named in `queues`.

    All others count together as "other", so that names made up at run time cannot fill the memory, nor a metrics store.
    """

    def __init__(self, queues: Iterable[str] = ()) -> None:
        super().__init__()
        self._by_queue = {queue: dict.fromkeys(NAMES, 0) for queue in (*queues, OTHER)}

    def add(self, *names: str, queue: str = OTHER) -> None:
        """Count one more of each name; who reads sees all of them or none."""
        with self._lock:
            by_queue = self._by_queue.get(queue, self._by_queue[OTHER])
            for name in names:
                self._counts[name] += 1
                by_queue[name] += 1

    def by_queue(self) -> dict[str, dict[str, int]]:
        """Return queue -> name -> count at this moment, for every known queue and "other"."""
        with self._lock:
            return {queue: dict(counts) for queue, counts in self._by_queue.items()}


def counted_as(error: PublishError) -> tuple[str, ...]:
    """Return the names under which a failed attempt counts."""
    if isinstance(error, QueueFull):
        return ("refused", "refused_stored") if error.stored else ("refused",)
    return (_FAILED.get(type(error), "forbidden"),)


_FAILED = {Unroutable: "unroutable", Unreachable: "unreachable", Unconfirmed: "unconfirmed"}
