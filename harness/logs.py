"""The end of a log, for messages."""

from __future__ import annotations

from pathlib import Path


def tail(path: Path, *, lines: int = 15) -> str:
    """The last lines of a log; nothing when it cannot be read."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
