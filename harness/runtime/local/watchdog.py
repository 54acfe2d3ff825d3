"""Kills what a dead harness left behind. Run as a script; standard library only, so that it is small and starts fast.

It reads lines "+GROUP" and "-GROUP" from its standard input. The end of the input means the harness is gone, however
it ended: every process group still on the list is killed. The kernel's parent-death signal alone would miss the
children of a prefork worker, because it is not inherited.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable


def remaining(lines: Iterable[str]) -> set[int]:
    """Return the groups announced and not withdrawn once the input ends."""
    groups: set[int] = set()
    for line in lines:
        sign, number = line[:1], line[1:].strip()
        if sign == "+" and number.isdigit():
            groups.add(int(number))
        elif sign == "-" and number.isdigit():
            groups.discard(int(number))
    return groups


def main() -> None:
    """Wait for the harness to end, then kill what it left."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    for group in remaining(sys.stdin):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
