"""An application whose task leaves its database alone while a circuit breaker says so."""

from __future__ import annotations

import os

from celery import Celery, Task

from celery_workers.breaker import CircuitBreaker
from tests.local.user_apps.plain import note

app = Celery("guarded")
orders = CircuitBreaker("orders", reset_seconds=float(os.environ["RESET_SECONDS"]))


@app.task(bind=True)
@orders.guard_task(wait_seconds=0.5)
def book(self: Task) -> None:
    note(self, came_back=self.request.delivery_info["redelivered"])


@app.task(bind=True, acks_late=False)
@orders.guard_task(wait_seconds=0.1)
def book_early(self: Task) -> None:
    note(self)
