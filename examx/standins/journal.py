"""The record of every delivery: append-only JSON lines, written before the delivery is acknowledged."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGE_BYTES = 4 * 1024 * 1024


class Journal:
    """One file; a line is one unbuffered write, so killing the process loses no line that was acknowledged."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        """Open or go on with the journal at `path`; a torn last line (a full disk) is ended first."""
        self.counts: Counter[str] = Counter()
        self._clock = clock
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def record(self, *, kind: str, task_id: str, status: int) -> None:
        """Write one delivery, with the time in seconds since the epoch. OSError if the disk does not take it."""
        entry = {"t": round(self._clock(), 6), "id": task_id, "kind": kind, "status": status}
        line = json.dumps(entry).encode() + b"\n"
        if os.write(self._file, line) != len(line):
            raise OSError("the journal's disk is full")
        self.counts[f"{kind} {status}"] += 1

    def read(self, offset_bytes: int) -> bytes:
        """Whole lines from `offset_bytes` on, at most a page; the next offset is this one plus the length returned."""
        page = os.pread(self._file, PAGE_BYTES, offset_bytes)
        return page[: page.rfind(b"\n") + 1]

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
