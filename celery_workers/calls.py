"""A task to publish, as a value. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from celery import Signature, Task


@dataclass(frozen=True)
class TaskCall:
    """One task with its arguments. `options` are those of Celery's `send_task`: queue, priority, countdown, headers ...

    `task` is a name or a task. Without a `task_id` it gets one when it is published.
    """

    task: str | Task
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    task_id: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task if isinstance(self.task, str) else str(self.task.name)


def as_call(task: TaskCall | Signature) -> TaskCall:
    """Return a signature of one task (`mail.s(7).set(priority=6)`) as a call; a call stays what it is.

    Raises TypeError for a chain, group or chord, and for anything else.
    """
    if isinstance(task, TaskCall):
        return task
    if not isinstance(task, Signature) or task.get("subtask_type"):
        kind = task.get("subtask_type") if isinstance(task, Signature) else type(task).__name__
        raise TypeError(f"a TaskCall or the signature of one task is needed, not a {kind}")
    options = dict(task.options)
    return TaskCall(
        task.task, args=task.args, kwargs=task.kwargs, task_id=options.pop("task_id", None), options=options
    )
