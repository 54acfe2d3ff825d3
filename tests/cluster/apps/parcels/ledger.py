"""What was done, one JSON line a task, in the file PARCELS_LEDGER."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery import Task


def note(task: Task, number: str, **more: Any) -> None:
    """Append one line, whole, however many processes do so."""
    request = task.request
    line = {
        "id": request.id,
        "task": task.name,
        "parcel": number,
        "worker": request.hostname,
        "host": socket.gethostname(),
        "queue": request.delivery_info["routing_key"],
        "priority": request.delivery_info["priority"],
        "timezone": str(task.app.conf.timezone),
        **more,
    }
    file = os.open(os.environ["PARCELS_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, json.dumps(line).encode() + b"\n")
    finally:
        os.close(file)
