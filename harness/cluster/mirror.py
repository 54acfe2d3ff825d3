"""A copy of the effects' volume on this machine, for clusters whose nodes share no directory with it."""

from __future__ import annotations

import base64
import contextlib
import io
import sqlite3
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness.cluster import outside
from harness.cluster.kubectl import Kubectl
from harness.errors import HarnessError

EVERY_SECONDS = 5.0
PULL_SECONDS = 60.0
# A database that is written to is copied by SQLite itself: a copy of its bytes could be torn.
SCRIPT = """
import base64, io, pathlib, sqlite3, sys, tarfile
top = pathlib.Path(sys.argv[1])
copies = pathlib.Path("/tmp/copies"); copies.mkdir(exist_ok=True)
out = io.BytesIO()
with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
    for path in sorted(top.rglob("*")):
        if not path.is_file() or path.name.endswith(("-wal", "-shm")): continue
        name, source = path.relative_to(top), path
        if path.suffix == ".sqlite3":
            source = copies / path.name
            with sqlite3.connect(path) as live, sqlite3.connect(source) as copy: live.backup(copy)
        tar.add(source, arcname=name)
print(base64.b64encode(out.getvalue()).decode())
"""


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite database with what stands in its log only."""
    with contextlib.closing(sqlite3.connect(source)) as live, contextlib.closing(sqlite3.connect(target)) as copy:
        live.backup(copy)


@dataclass
class Mirror:
    """Pulls the volume through a pod that mounts it; `target` then looks like it."""

    kubectl: Kubectl
    namespace: str
    target: Path
    clock: Callable[[], float] = time.monotonic
    _pulled_at: float | None = field(default=None, init=False)

    def refresh(self) -> None:
        """Pull, unless that was done a moment ago."""
        if self._pulled_at is None or self.clock() - self._pulled_at >= EVERY_SECONDS:
            self.pull()

    def pull(self) -> None:
        """Bring everything. Raises HarnessError when the pod cannot be asked."""
        text = self.kubectl.run(
            "exec", f"deployment/{outside.NAME}", "-n", self.namespace, "--", "python", "-c", SCRIPT, outside.MOUNT,
            doing="reading the effects' volume", seconds=PULL_SECONDS,
        )  # fmt: skip
        self.target.mkdir(parents=True, exist_ok=True)
        try:
            with tarfile.open(fileobj=io.BytesIO(base64.b64decode(text, validate=False)), mode="r:gz") as tar:
                tar.extractall(self.target, filter="data")
        except (tarfile.TarError, ValueError, OSError, EOFError) as error:
            raise HarnessError(f"the copy of the effects' volume is damaged: {error}") from error
        self._pulled_at = self.clock()
