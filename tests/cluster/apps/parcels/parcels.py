"""Labels for parcels, and where parcels are: a Celery application that was written before it met the chart."""

from __future__ import annotations

import time

import ledger
import tariffs
from celery import Celery, Task

app = Celery("parcels")
app.config_from_object("settings")


@app.task(bind=True, name="label.print")
def print_label(self: Task, number: str, grams: int) -> int:
    """Print a parcel's label; return what it costs, in cents."""
    cents = tariffs.price_cents(grams)
    ledger.note(self, number, cents=cents)
    return cents


@app.task(bind=True, name="tracking.ask")
def ask_carrier(self: Task, number: str, seconds: float = 0.0) -> str:
    """Ask the carrier, who takes a while."""
    time.sleep(seconds)
    ledger.note(self, number)
    return "on its way"
