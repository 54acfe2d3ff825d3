"""Worker processes as the chart's Deployment starts them, for benchmarks and tests."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import processes, scratch
from harness.errors import HarnessError

ROOT = Path(__file__).resolve().parent.parent
CHART_FILES = ROOT / "charts" / "celery-workers" / "files"
READY_SECONDS = 60.0

Topology = dict[str, Any]


def make_queue(worker_class: str, **changes: Any) -> dict[str, Any]:
    """One queue of a topology.json, with the io queue's figures of the production values unless changed."""
    return {
        "class": worker_class,
        "type": "classic",
        "max_priority": 9,
        "max_length_messages": 5000,
        "overflow": "reject-publish",
        "message_ttl_seconds": 1800,
        "dead_letter_queue": f"{worker_class}.dead",
        "consumer_timeout_seconds": 1800,
        "max_deliveries": 5,
        "refused_to": None,
        **changes,
    }


def make_class(pool: str, concurrency: int, *queues: str, **changes: Any) -> dict[str, Any]:
    """One worker class of a topology.json."""
    return {
        "pool": pool,
        "concurrency": concurrency,
        "prefetch_multiplier": 1,
        "queues": list(queues),
        "soft_time_limit_seconds": None,
        "hard_time_limit_seconds": None if pool == "threads" else 300,
        "max_tasks_per_child": None,
        "max_memory_per_child_kib": None,
        "replicas": {"min": 1, "max": 5},
        "scaler": "none",
        "termination_grace_period_seconds": 330,
        **changes,
    }


def make_topology(
    *,
    app: str,
    classes: Mapping[str, Any],
    queues: Mapping[str, Any],
    routes: list[dict[str, Any]] | None = None,
    **changes: Any,
) -> Topology:
    """A topology.json as the chart renders it."""
    return {
        "version": 1,
        "release": "celery",
        "environment": "prod",
        "app": app,
        "default_queue": next(iter(queues)),
        "default_priority": 5,
        "delayed_delivery": None,
        "dead_letter_exchange": "celery.dlx",
        "redis_key_prefix": "celery-workers",
        "priorities": {"critical": 9, "email": 6, "maintenance": 1},
        "queues": dict(queues),
        "classes": dict(classes),
        "routes": routes or [],
        **changes,
    }


def write_config(directory: Path, topology: Topology) -> Path:
    """Make the directory that the release's ConfigMap is mounted as."""
    directory.mkdir(parents=True)
    for file in CHART_FILES.glob("*.py"):
        shutil.copy(file, directory)
    (directory / "topology.json").write_text(json.dumps(topology, indent=2, sort_keys=True))
    return directory


def base_environment(config: Path, amqp_url: str, *, python_path: tuple[Path, ...] = ()) -> dict[str, str]:
    """Environment of any process that uses the release's configuration: a publisher, the Job, a worker."""
    inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(map(str, (config, *python_path))),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CELERY_WORKERS_CONFIG_DIR": str(config),
        "CELERY_BROKER_URL": amqp_url,
    }


def apply_topology(config: Path, amqp_url: str, management_url: str) -> subprocess.CompletedProcess[str]:
    """Run the release's Job; the caller looks at the exit code."""
    environment = {**base_environment(config, amqp_url), "BROKER_MANAGEMENT_URL": management_url}
    command = [sys.executable, str(config / "apply_topology.py")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@dataclass(frozen=True)
class Worker:
    """One worker process."""

    name: str  # its Celery node name, <class>@<pod>
    process: subprocess.Popen[bytes]
    state: Path
    log: Path
    environment: dict[str, str] = field(repr=False)

    def is_ready(self) -> bool:
        """What the Deployment's readiness probe asks."""
        return (self.state / "ready").exists()

    def wait_ready(self, *, timeout_seconds: float = READY_SECONDS) -> None:
        """Return once the worker consumes; HarnessError with its last words otherwise."""
        try:
            processes.wait_until(
                self.is_ready, timeout_seconds=timeout_seconds, what=f"worker {self.name}", process=self.process
            )
        except HarnessError as error:
            raise HarnessError(f"{error}\n{self.log.read_text(errors='replace')[-2000:]}") from error


def worker_arguments(
    worker_class: str, settings: Mapping[str, Any], pod: str, *, app: str = "celery_workers_shim:app"
) -> list[str]:
    """The container's command and arguments, as the Deployment renders them."""
    return [
        str(Path(sys.executable).with_name("celery")),
        "-A",
        app,
        "worker",
        f"--pool={settings['pool']}",
        f"--concurrency={settings['concurrency']}",
        f"--queues={','.join(settings['queues'])}",
        f"--hostname={worker_class}@{pod}",
        "--loglevel=INFO",
        "--without-gossip",
        "--without-mingle",
        "--task-events",
    ]


@contextlib.contextmanager
def run_worker(
    config: Path,
    amqp_url: str,
    directory: Path,
    *,
    worker_class: str,
    pod: str,
    python_path: tuple[Path, ...] = (),
    environment: Mapping[str, str] | None = None,
    arguments: list[str] | None = None,
    grace_seconds: float = 5.0,
) -> Iterator[Worker]:
    """Start one worker, by default with the Deployment's arguments; it may not be ready yet.

    At the block's end it gets SIGTERM, and SIGKILL after the grace.
    """
    topology = json.loads((config / "topology.json").read_text())
    state = directory / pod
    state.mkdir(parents=True)
    settings = {
        **base_environment(config, amqp_url, python_path=python_path),
        "CELERY_WORKERS_APP": topology["app"],
        "CELERY_WORKERS_CLASS": worker_class,
        "CELERY_WORKERS_STATE_DIR": str(state),
        "POD_NAME": pod,
        **(environment or {}),
    }
    log = directory / f"{pod}.log"
    command = arguments or worker_arguments(worker_class, topology["classes"][worker_class], pod)
    # A worker that is killed leaves its own. Not below `directory`: the path of a socket may have 107 bytes.
    with scratch.directory("worker") as temporary:
        settings["TMPDIR"] = str(temporary)
        process = processes.start(command, log=log, env=settings, cwd=directory)
        try:
            yield Worker(f"{worker_class}@{pod}", process, state, log, settings)
        finally:
            processes.stop(process, grace_seconds=grace_seconds)
