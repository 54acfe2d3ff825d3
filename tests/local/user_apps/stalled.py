"""An application whose worker stands still while its first task is done, and is asked to end meanwhile."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from celery import Celery, Task
from celery.signals import worker_ready
from kombu.asynchronous import get_event_loop

from tests.local.user_apps.plain import note

app = Celery("stalled")


@app.task(bind=True)
def work(self: Task) -> None:
    note(self)


@worker_ready.connect
def stand_still_once_a_task_is_handed_over(**_: object) -> None:
    """As a process does that gets no processor: it has written to its child, and has not read the answer."""
    hub = get_event_loop()
    write = hub.consolidate_callback

    def write_and_stand_still(ready: list[int]) -> None:
        write(ready)
        limit = time.monotonic() + 20
        while not Path(os.environ["EFFECTS_FILE"]).exists() and time.monotonic() < limit:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    hub.consolidate_callback = write_and_stand_still
