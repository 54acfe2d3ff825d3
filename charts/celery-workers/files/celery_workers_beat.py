"""Starts any Celery application's beat as the chart does: `celery -A celery_workers_beat:app beat ...`.

As celery_workers_shim, and two things more: a lock beside the schedule file, so that a second beat on the same volume
ends instead of sending every task twice, and the heartbeat file of CELERY_WORKERS_STATE_DIR, touched at each turn.
CELERY_WORKERS_BEAT_DIR is the schedule's directory.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from celery import signals
from celery_workers_shim import app, state_file, touch

if TYPE_CHECKING:
    from celery.beat import Service

TURN_SECONDS = 5.0  # at most between two turns; Celery's own 300 s would make the heartbeat useless


def hold_lock(directory: Path) -> IO[str]:
    """Return the locked file; the lock ends with this process. SystemExit when another beat has it."""
    file = (directory / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise SystemExit(f"another beat works with {directory}: two would send every task twice") from error
    return file


@signals.beat_init.connect
def touch_at_each_turn(sender: Service, **details: object) -> None:
    """Have each turn of the scheduler touch the heartbeat file."""
    heartbeat = state_file("heartbeat")
    tick = sender.scheduler.tick

    def touching_tick(*arguments: Any, **options: Any) -> Any:
        if heartbeat:
            touch(heartbeat)
        return tick(*arguments, **options)

    sender.scheduler.tick = touching_tick


app.conf.beat_max_loop_interval = min(app.conf.beat_max_loop_interval or TURN_SECONDS, TURN_SECONDS)
lock = hold_lock(Path(os.environ["CELERY_WORKERS_BEAT_DIR"]))
