"""What became of a task of a bulk. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from celery_workers.calls import TaskCall
from celery_workers.errors import PublishError, QueueFull, Unconfirmed, Unreachable, Unroutable, Unsendable


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one task of `publish_many`.

    `position` is its place in the input, from 0. `error` is None when the broker has the task, or a keeper (`kept`).
    """

    call: TaskCall
    task_id: str
    position: int
    attempts: int
    error: PublishError | None = None
    kept: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the broker confirmed the task."""
        return self.error is None and not self.kept

    @property
    def status(self) -> str:
        """One word: accepted, kept, full, stored, unroutable, forbidden, unreachable, unconfirmed or unsendable.

        "stored" is refused, yet kept in the queue's dead-letter queue; "unconfirmed" may be in the queue or not.
        """
        if self.error is None:
            return "kept" if self.kept else "accepted"
        if isinstance(self.error, QueueFull):
            return "stored" if self.error.stored else "full"
        return _WORDS.get(type(self.error), "forbidden")


_WORDS = {
    Unroutable: "unroutable",
    Unreachable: "unreachable",
    Unconfirmed: "unconfirmed",
    Unsendable: "unsendable",
}
