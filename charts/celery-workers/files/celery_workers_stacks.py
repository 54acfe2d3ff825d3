"""What a worker that stands still waits for: on SIGUSR1 Celery logs its threads, and this the greenlets too."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

from celery import signals


def tell_greenlets_too() -> None:
    """Have a worker whose pool is gevent's write the stacks of all greenlets to its log, after those of the threads."""
    signals.worker_ready.connect(_extend, weak=False)  # by then Celery has its own handler


def _extend(**_details: Any) -> None:
    if "gevent.monkey" not in sys.modules or not sys.modules["gevent.monkey"].is_module_patched("threading"):
        return
    before = signal.getsignal(signal.SIGUSR1)

    def tell(number: int, frame: FrameType | None) -> None:
        from gevent.util import format_run_info

        if callable(before):
            before(number, frame)
        print("\n".join(format_run_info(thread_stacks=False)), file=sys.__stderr__, flush=True)

    signal.signal(signal.SIGUSR1, tell)
