"""Local runs: each leaves a file for as long as it runs, by which a command in another terminal finds it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from harness import tools
from harness.errors import InputError
from harness.files import write_privately

RUN_VARIABLE = "CELERY_WORKERS_RUN"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A local run: its process and where everything of it is. The addresses hold passwords, so the file is private."""

    name: str
    pid: int
    process_started_at: float
    release: str
    directory: Path  # where its controller answers
    amqp_url: str
    management_url: str
    redis_url: str | None
    topology: Mapping[str, Any] = field(repr=False)
    # What Prometheus reads of it: job, url, labels.
    targets: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    # What its rules are made of, as its own manifests were: values files in order, and single values over them.
    values: Sequence[str] = ()
    set_values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether its process is still there."""
        return lives(self.pid, self.process_started_at)


def lives(pid: int, process_started_at: float) -> bool:
    """Whether a process is still there, and no other one of that number; it started at so many seconds of the epoch."""
    try:
        return abs(psutil.Process(pid).create_time() - process_started_at) < 1
    except psutil.Error:
        return False


def home() -> Path:
    """Return the directory of the files."""
    return tools.cache_home() / "runs"


def file_of(name: str) -> Path:
    """Return the file of a run."""
    return home() / f"{name}.json"


@contextlib.contextmanager
def announced(
    name: str,
    *,
    release: str,
    directory: Path,
    amqp_url: str,
    management_url: str,
    redis_url: str | None,
    topology: Mapping[str, Any],
    targets: Sequence[Mapping[str, Any]] = (),
    values: Sequence[Path] = (),
    set_values: Mapping[str, Any] | None = None,
) -> Iterator[Run]:
    """Let commands find a run of this process for the block's time."""
    run = Run(
        name=name,
        pid=os.getpid(),
        process_started_at=psutil.Process().create_time(),
        release=release,
        directory=directory,
        amqp_url=amqp_url,
        management_url=management_url,
        redis_url=redis_url,
        topology=topology,
        targets=targets,
        values=[str(path.absolute()) for path in values],
        set_values=set_values or {},
    )
    home().mkdir(parents=True, exist_ok=True)
    path = file_of(name)
    write_privately(path, json.dumps({**asdict(run), "directory": str(directory)}))
    try:
        yield run
    finally:
        path.unlink(missing_ok=True)


def running() -> list[Run]:
    """Return the local runs of this machine and user, by name; files of dead ones are removed."""
    found = []
    for path in sorted(home().glob("*.json")):
        with contextlib.suppress(FileNotFoundError):
            document = json.loads(path.read_text())
            run = Run(**{**document, "directory": Path(document["directory"])})
            if run.alive:
                found.append(run)
            else:
                path.unlink(missing_ok=True)
    return found


def find(name: str | None) -> Run:
    """Return the run of that name ($CELERY_WORKERS_RUN without one), or the only one. Raises InputError."""
    runs = running()
    wanted = name or os.environ.get(RUN_VARIABLE)
    names = ", ".join(run.name for run in runs)
    if wanted:
        chosen = [run for run in runs if run.name == wanted]
        if not chosen:
            raise InputError(f"there is no local run {wanted}; running: {names or 'none'}")
        return chosen[0]
    if not runs:
        raise InputError("no local run: start one with `harness local`, or name a cluster with --runtime")
    if len(runs) > 1:
        raise InputError(f"several local runs: choose one with --run ({names})")
    return runs[0]
