"""An application for the tests of emergency commands: each task leaves a line with its time."""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery import Celery

app = Celery("tests.local.ops_app")


@app.task(name="note")
def note(word: str) -> None:
    """Write down that it ran."""
    with Path(os.environ["NOTES_FILE"]).open("a") as stream:
        stream.write(f"{word} {time.time()}\n")
