"""What was put back from dead-letter queues, written down before and after each: so that nothing is put back twice."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from harness.errors import HarnessError, InputError
from harness.ops.letters import Event, Letter


class ReplayJournal:
    """The newest event of each letter; every line is on the disk before `note` returns."""

    def __init__(self, stream: TextIO, events: dict[str, Event]) -> None:
        self.events = events
        self._stream = stream

    def note(self, event: Event, letter: Letter, *, at: float) -> None:
        """Write an event down."""
        line = {"at": round(at, 3), "event": event, "key": letter.key, "id": letter.id, "queue": letter.queue}
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self.events[letter.key] = event


@contextlib.contextmanager
def opened(path: Path) -> Iterator[ReplayJournal]:
    """Yield the journal, made where there is none; one process at a time.

    Raises HarnessError while another replay has it, InputError for a file that is no journal.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    with path.open("r+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise HarnessError(f"another replay writes {path}: wait for its end") from error
        events = _read(stream, path)
        yield ReplayJournal(stream, events)


def _read(stream: TextIO, path: Path) -> dict[str, Event]:
    """Return the events; a last line that is torn is taken off, for its event has not happened."""
    events: dict[str, Event] = {}
    good = 0
    for line in iter(stream.readline, ""):
        entry = _entry(line)
        if entry is None:
            if stream.readline():
                raise InputError(f"{path}: this is no journal of replays; name another file with --journal")
            break
        events[entry["key"]] = entry["event"]
        good = stream.tell()
    stream.seek(good)
    stream.truncate()
    return events


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
        return entry if line.endswith("\n") and {"key", "event"} <= set(entry) else None
    except (ValueError, TypeError):
        return None
