"""How a task is declared and how its effect is made once."""

from __future__ import annotations

import inspect
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from examx import effects, files, poison
from examx.application import app
from examx.catalogue import TASKS, TaskSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from celery import Task
    from sqlalchemy import Connection


LOST_CHILD_SECONDS = 10
"""How long the task of a prefork child that was killed waits for another one; Celery's own figure is 3 minutes."""
PARAMETERS: dict[str, Mapping[str, inspect.Parameter]] = {}
"""Task name -> its keyword arguments, of the tasks whose modules are imported."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One delivery of a task: its id, and how its effect becomes visible together with its marker."""

    id: str
    spec: TaskSpec

    def finish_rows(self, work: Callable[[Connection], object]) -> None:
        """Write the rows and the marker in one transaction, unless another delivery has done so meanwhile."""
        effects.once(task_id=self.id, task=self.spec.name, kind=self.spec.effect, work=work)

    def finish_file(self, content: bytes) -> None:
        """Put the file in place, then write the marker."""
        files.write(self.id, content)
        effects.once(task_id=self.id, task=self.spec.name, kind=self.spec.effect)

    def finish_mail(self) -> None:
        """Write the marker of a mail that the server has taken."""
        effects.once(task_id=self.id, task=self.spec.name, kind=self.spec.effect)


def task(function: Callable[..., None]) -> Task:
    """Register the function under its own name. It gets its Job; the rest are optional keyword arguments.

    A task whose marker is there (a redelivery) does nothing.
    """
    spec = TASKS[function.__name__]
    found = inspect.signature(function).parameters
    PARAMETERS[spec.name] = {name: found[name] for name in found if found[name].kind is found[name].KEYWORD_ONLY}

    def run(self: Task, **payload: Any) -> None:
        poison.strike(self.request.id or "")
        job = Job(id=self.request.id or str(uuid.uuid4()), spec=spec)  # called as a plain function there is no id
        if not effects.is_done(job.id):
            function(job, **payload)

    run.__doc__ = function.__doc__
    return app.task(name=spec.name, bind=True, default_retry_delay=LOST_CHILD_SECONDS)(run)
