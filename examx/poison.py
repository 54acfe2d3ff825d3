"""Tasks that kill whoever runs them, to show where such tasks end. Off unless EXAMX_POISON is set.

A real one is a document that makes its reader take all memory; these are told by their ids, so any task may be one.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "EXAMX_POISON"
CHILD, WORKER = "poison-child-", "poison-worker-"


def strike(task_id: str) -> None:
    """Kill this process (a prefork child dies alone), or the worker's main process, when the id says so."""
    if not os.environ.get(VARIABLE):
        return
    if task_id.startswith(CHILD):
        os.kill(os.getpid(), signal.SIGKILL)
    if task_id.startswith(WORKER):
        os.kill(os.getppid() if _is_child() else os.getpid(), signal.SIGKILL)


def _is_child() -> bool:
    from billiard import current_process  # Celery's fork of multiprocessing

    return bool(current_process()._identity)
