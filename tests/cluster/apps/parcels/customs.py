"""Customs papers: tasks in a module that only the settings name."""

from __future__ import annotations

import ledger
from celery import Task, shared_task


@shared_task(bind=True, name="customs.declare")
def declare(self: Task, number: str) -> str:
    """Declare a parcel's contents."""
    ledger.note(self, number)
    return f"{number}-CN22"
