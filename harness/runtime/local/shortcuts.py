"""Short names for pods' temporary directories: the path of a socket may have 107 bytes, and a run's are long."""

from __future__ import annotations

import contextlib
from pathlib import Path

from harness import scratch


class Shortcuts:
    """Links to directories. In a cluster such a directory is /tmp, so that what listens there need not mind."""

    def __init__(self) -> None:
        self._made = contextlib.ExitStack()
        self._directory: Path | None = None
        self._count = 0

    def to(self, directory: Path) -> Path:
        """Return a short path to the directory. Raises OSError where there can be none."""
        if self._directory is None:
            self._directory = self._made.enter_context(scratch.directory("pods"))
        self._count += 1
        link = self._directory / str(self._count)
        link.symlink_to(directory, target_is_directory=True)
        return link

    def close(self) -> None:
        """Remove the links; what they lead to stays. Safe to repeat."""
        self._directory = None
        self._made.close()
