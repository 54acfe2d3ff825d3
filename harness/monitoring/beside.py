"""The Prometheus that runs beside a local run: where a command in another terminal finds it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from harness import tools
from harness.files import write_privately
from harness.monitoring import rules
from harness.monitoring.local_series import NAMESPACE
from harness.ops.runs import Run, lives


def home() -> Path:
    """Return the directory of the files."""
    return tools.cache_home() / "monitors"


@contextlib.contextmanager
def announced(run_name: str, url: str) -> Iterator[None]:
    """Let `find` return a Prometheus of this process for the block's time."""
    home().mkdir(parents=True, exist_ok=True)
    path = home() / f"{run_name}.json"
    write_privately(
        path, json.dumps({"url": url, "pid": os.getpid(), "process_started_at": psutil.Process().create_time()})
    )
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find(run_name: str) -> str | None:
    """Return the address of the Prometheus beside a run, None where there is none; a dead one's file is removed."""
    path = home() / f"{run_name}.json"
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    if not lives(document["pid"], document["process_started_at"]):
        path.unlink(missing_ok=True)
        return None
    return str(document["url"])


def write_rules(run: Run, path: Path) -> Path:
    """Write the rules of a local run's release, of the values it was made of, and return the path.

    Raises HarnessError where the values give none any more.
    """
    values = [Path(name) for name in run.values]
    return rules.write_beside_a_run(path, values, release=run.release, namespace=NAMESPACE, set_values=run.set_values)
