"""Progress of a run in a terminal: live figures a second there, a plain line every few seconds elsewhere."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

PLAIN_EVERY_SECONDS = 5.0


class TerminalProgress:
    """Writes to `stream`: rewrites its last lines on a terminal, adds lines elsewhere."""

    def __init__(self, stream: TextIO = sys.stderr, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._started = clock()
        self._last_sample = -PLAIN_EVERY_SECONDS
        self._live = stream.isatty()
        self._live_lines = 0  # that stand on the terminal and are to be written over

    def step(self, text: str) -> None:
        """Say what begins now, with the seconds since the start."""
        self._end_line()
        print(f"{self._clock() - self._started:6.1f} s  {text}", file=self._stream, flush=True)

    def sample(self, sample: Mapping[str, Any], counts: Mapping[str, int]) -> None:
        """Show where the run stands."""
        now = self._clock()
        if self._live:
            self._rewrite(_line(sample, counts))
        elif now - self._last_sample >= PLAIN_EVERY_SECONDS:
            print(_line(sample, counts), file=self._stream, flush=True)
            self._last_sample = now

    def close(self) -> None:
        """Leave the cursor on a fresh line."""
        self._end_line()

    def _end_line(self) -> None:
        if self._live_lines:
            print(file=self._stream, flush=True)
            self._live_lines = 0

    def _rewrite(self, text: str) -> None:
        """Show `text` over what was shown last; lines the terminal broke itself could not be taken back."""
        lines = textwrap.wrap(text, shutil.get_terminal_size().columns - 1, subsequent_indent=" " * 10)
        up = f"\x1b[{self._live_lines - 1}A" if self._live_lines > 1 else ""
        print(f"{up}\r\x1b[J" + "\n".join(lines), end="", file=self._stream, flush=True)
        self._live_lines = len(lines)


def _line(sample: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    queues = "  ".join(
        f"{name} {depth['ready']:,}+{depth['unacked']:,}" for name, depth in sorted(sample["queues"].items())
    )
    pods = "  ".join(
        f"{name} {state['ready']}/{state['desired']}" for name, state in sorted(sample["replicas"].items())
    )
    numbers = "  ".join(f"{name} {count:,}" for name, count in counts.items())
    return f"{sample['t']:6.0f} s  {numbers}  | queued+running: {queues}  | ready/wanted: {pods}"
