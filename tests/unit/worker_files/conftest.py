from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import workers
from tests.local.worker_release import load_file


@pytest.fixture
def topology() -> workers.Topology:
    """A topology with one class a pool."""
    return workers.make_topology(
        app="user",
        classes={
            "io": workers.make_class("gevent", 200, "io"),
            "cpu": workers.make_class(
                "prefork",
                4,
                "cpu",
                soft_time_limit_seconds=3500,
                hard_time_limit_seconds=3600,
                max_tasks_per_child=100,
                max_memory_per_child_kib=500_000,
            ),
            "mixed": workers.make_class("threads", 16, "mixed"),
        },
        queues={name: workers.make_queue(name) for name in ("io", "cpu", "mixed")},
        routes=[
            {"task": "forgot_password_mail", "queue": "io", "priority": 8},
            {"task": "bulk_*", "queue": "cpu", "priority": 4},
            {"task": "*", "queue": "mixed", "priority": 1},
        ],
    )


@pytest.fixture
def config(tmp_path: Path, topology: workers.Topology) -> Path:
    """The release's configuration directory."""
    return workers.write_config(tmp_path / "config", topology)


@pytest.fixture
def celeryconfig(config: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The release's settings, as a publisher has them."""
    for name in ("CELERY_WORKERS_CLASS", "CELERY_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    return load_file(config / "celeryconfig.py")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken but where nobody listens: connecting to it is refused."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield one.getsockname()[1]
