"""How commands end: by a signal, and with which exit code."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

EXIT_MISSED = 1  # what was asked for was done, and an objective was missed
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt_on_endings() -> None:
    """Have each signal that asks the command to end interrupt it, where its caller does not ignore it."""
    for ending in ENDINGS:
        if signal.getsignal(ending) != signal.SIG_IGN:  # nohup asks to go on
            signal.signal(ending, interrupt)


def on_endings(handler: Callable[[int, FrameType | None], None]) -> None:
    """Handle these signals in a command that goes on until one comes.

    Ctrl-C too where it is ignored, as in what a script starts in the background; a hang-up only where it is not.
    """
    for ending in ENDINGS:
        if ending != signal.SIGHUP or signal.getsignal(ending) != signal.SIG_IGN:
            signal.signal(ending, handler)


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End the run; a second signal must not end the clean-up, which takes seconds."""
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt
