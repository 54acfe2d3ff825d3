"""Files as effects: there under their final name only when complete."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from examx import settings

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def path_of(task_id: str, *, directory: Path | None = None) -> Path:
    """Where the task's PDF is or will be. ValueError where the id cannot be a file name."""
    if not _SAFE.fullmatch(task_id):
        raise ValueError(f"task id {task_id!r} cannot be a file name: only letters, digits, '.', '_' and '-'")
    return (directory or settings.current().files_dir) / f"{task_id}.pdf"


def write(task_id: str, content: bytes, *, directory: Path | None = None) -> Path:
    """Write the task's PDF by atomic rename: another process sees the whole file or none."""
    target = path_of(task_id, directory=directory)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{task_id}.", suffix=".part")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return target
