"""How commands end: by a signal, and with which exit code."""

from __future__ import annotations

import signal
from types import FrameType

EXIT_MISSED = 1  # what was asked for was done, and an objective was missed
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt_on_endings() -> None:
    """Have each signal that asks the command to end interrupt it, where its caller does not ignore it."""
    for ending in ENDINGS:
        if signal.getsignal(ending) != signal.SIG_IGN:  # nohup asks to go on
            signal.signal(ending, interrupt)


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End the run; a second signal must not end the clean-up, which takes seconds."""
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt
