"""What a publisher does with a task that a full queue refuses. Pure.

`Wait()` offers it again until the call's deadline, `Wait(5)` for five seconds, `FAIL_FAST` raises QueueFull at once. A
`Keeper`, such as an outbox, takes the task instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from celery_workers.calls import TaskCall


@dataclass(frozen=True)
class Wait:
    """Offer the task again until `seconds` after the call; None: until the call's deadline."""

    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and self.seconds < 0:
            raise ValueError(f"seconds must be at least 0, not {self.seconds}")


FAIL_FAST = Wait(0.0)
"""Offer the task once; raise QueueFull when the queue is full."""


@runtime_checkable
class Keeper(Protocol):
    """Takes a task that the broker has not accepted: the queue is full, or the broker is away or silent."""

    def keep(self, call: TaskCall) -> None:
        """Keep the task, whose id is set, for somebody who offers it later under the same id."""


WhenFull = Wait | Keeper


def checked(choice: WhenFull) -> WhenFull:
    """Return the choice; TypeError for what is none."""
    if not isinstance(choice, Wait | Keeper):
        raise TypeError(
            "when_full is Wait(seconds), FAIL_FAST or a keeper, such as outbox.within(connection), "
            f"not {type(choice).__name__}"
        )
    return choice
