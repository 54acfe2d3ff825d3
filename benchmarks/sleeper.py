"""The application the benchmark drains: tasks that wait, then leave a line."""

from __future__ import annotations

import os
import time

from celery import Celery

app = Celery("benchmarks.sleeper")


@app.task(name="wait")
def wait(seconds: float) -> None:
    """Wait as a mail provider makes one wait, then append one line: the effect."""
    time.sleep(seconds)
    line = f"{time.time():.6f} {wait.request.id}\n".encode()
    file = os.open(os.environ["EFFECTS_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line)  # one write, O_APPEND: lines of many processes do not mix
    finally:
        os.close(file)
