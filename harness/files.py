"""Files that appear whole or not at all: another process sees the old one or the new one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

READABLE, PRIVATE = 0o644, 0o600


def write_atomically(path: Path, content: str | bytes) -> Path:
    """Write a file, in a directory that is made if need be; one that already has this content is left alone."""
    written = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    if not (path.is_file() and path.read_bytes() == written):
        _write(path, written, READABLE)
    return path


def write_privately(path: Path, text: str) -> None:
    """Write a file that only this user may read, in a directory that is there. Raises OSError where it is not."""
    _write(path, text.encode(), PRIVATE)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Put a finished file into its place by renaming it, which needs one on the same file system."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    made = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        made.chmod(mode)
        made.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            made.unlink()
        raise
