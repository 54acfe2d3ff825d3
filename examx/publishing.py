"""Tasks that a task sends."""

from __future__ import annotations

import uuid
from functools import cache
from typing import TYPE_CHECKING, Any

from examx.application import app

if TYPE_CHECKING:
    from collections.abc import Mapping

    from celery_workers import Publisher

DEADLINE_SECONDS = 200.0
"""How long a full queue is waited for; then the sending task fails and its own message goes to the dead letters."""


def send(task: str, *, parent_id: str, part: int, kwargs: Mapping[str, Any]) -> str:
    """Send part number `part` of a task's work as a task of its own; return its id.

    The id follows from the parent's, so a parent that runs twice sends the same tasks and not new ones. Raises
    celery_workers.PublishError.
    """
    task_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{parent_id}/{part}"))
    return _publisher().publish(task, kwargs=kwargs, task_id=task_id, deadline_seconds=DEADLINE_SECONDS)


@cache
def _publisher() -> Publisher:
    from celery_workers import Publisher

    return Publisher(app)
