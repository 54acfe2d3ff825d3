"""What can become of a task that was not accepted."""

from __future__ import annotations

# ruff: noqa: N818 - a caller reads `except QueueFull` as what happened


class PublishError(Exception):
    """The broker does not have the task, or does not say that it has.

    `attempts` counts how often it was offered. Raised as such, without a subclass, when the broker forbids the
    message (no permission, too large): offering it again changes nothing.
    """

    def __init__(self, reason: str, *, task: str, task_id: str, queue: str, attempts: int = 1) -> None:
        super().__init__(reason)
        self.reason = reason
        self.task = task
        self.task_id = task_id
        self.queue = queue
        self.attempts = attempts

    def __str__(self) -> str:
        tries = "" if self.attempts == 1 else f" (attempt {self.attempts})"
        return f"{self.task}[{self.task_id}] to queue {self.queue!r}: {self.reason}{tries}"


class QueueFull(PublishError):
    """The queue stands at its limit and refused the task.

    `stored` is True where the queue's overflow is reject-publish-dlx: the broker said no, yet kept the message in the
    dead-letter queue. Offering that one again would make a second copy.
    """

    def __init__(
        self, reason: str, *, task: str, task_id: str, queue: str, attempts: int = 1, stored: bool = False
    ) -> None:
        super().__init__(reason, task=task, task_id=task_id, queue=queue, attempts=attempts)
        self.stored = stored


class Unroutable(PublishError):
    """No queue takes messages with this exchange and routing key. The task is nowhere."""


class Unreachable(PublishError):
    """There was no connection to send over. The task is nowhere."""


class Unconfirmed(PublishError):
    """The connection broke, or the broker kept silent, after the task was sent: it may be in the queue or not.

    Offering it again with the same id is safe when the task is idempotent.
    """


class Unsendable(PublishError):
    """The task cannot be made into a message; its cause says why. Only `publish_many` raises nothing and reports it."""


def may_retry(error: PublishError) -> bool:
    """Whether offering the same task again can help, and does not make a second copy on purpose."""
    if isinstance(error, QueueFull):
        return not error.stored
    return isinstance(error, Unconfirmed | Unreachable)
