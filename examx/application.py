"""The Celery application.

The broker comes from CELERY_BROKER_URL (Celery reads it itself). Where a module `celeryconfig` is importable, which
is what the chart mounts on PYTHONPATH, it is applied: publishers then route exactly as workers do.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import TYPE_CHECKING, Any

from celery import Celery
from celery.signals import worker_init

if TYPE_CHECKING:
    from collections.abc import Mapping

MODULES = ("ai", "code", "documents", "exams", "mail", "maintenance", "questions")
PRELOADED = ("pandas", "openpyxl", "reportlab.platypus", "pypdf")
"""What the cpu class imports before it forks: its children share it instead of each importing it (about 2 s)."""

STANDALONE: Mapping[str, Any] = {
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_ignore_result": True,
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
    "broker_transport_options": {"confirm_publish": True},
}
"""The settings where no `celeryconfig` is mounted (a developer's machine)."""


def _make() -> Celery:
    made = Celery("examx", include=[f"examx.tasks.{name}" for name in MODULES])
    mounted = importlib.util.find_spec("celeryconfig") is not None
    made.config_from_object("celeryconfig" if mounted else dict(STANDALONE))
    return made


app = _make()


@worker_init.connect
def preload(**_: object) -> None:
    """Import the heavy libraries in the cpu class's parent process; the other classes start without them."""
    if os.environ.get("CELERY_WORKERS_CLASS") == "cpu":
        for name in PRELOADED:
            importlib.import_module(name)
