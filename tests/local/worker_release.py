"""A release's configuration, its publisher and its workers, on a real broker."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from celery import Celery

from benchmarks import workers
from harness.broker.management import Management
from harness.broker.server import Broker
from harness.broker.stats import QueueDepth


def load_file(path: Path) -> ModuleType:
    """Import one file of the release's configuration, apart from any other test's, with its neighbours in reach."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def eventually(condition: Callable[[], bool], *, seconds: float = 20.0) -> bool:
    """Whether the condition comes to hold within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@dataclass(frozen=True)
class ReleaseUnderTest:
    """A topology, applied to a broker; effects of its tasks are lines of one file."""

    broker: Broker
    topology: workers.Topology
    config: Path
    directory: Path

    @classmethod
    def install(cls, broker: Broker, directory: Path, topology: workers.Topology) -> ReleaseUnderTest:
        """Write the configuration and run the Job."""
        config = workers.write_config(directory / "config", topology)
        release = cls(broker, topology, config, directory)
        done = release.apply()
        assert done.returncode == 0, done.stderr
        return release

    def apply(self) -> Any:
        """Run the Job; the caller looks at the outcome."""
        return workers.apply_topology(self.config, self.broker.amqp_url, self.broker.management_url)

    def publisher(self) -> Celery:
        """An application that publishes as the documentation says: the release's celeryconfig and nothing else."""
        settings = load_file(self.config / "celeryconfig.py").make_settings(
            self.topology, {"CELERY_BROKER_URL": self.broker.amqp_url}
        )
        app = Celery("publisher", set_as_current=False)
        app.config_from_object(settings)
        return app

    @contextlib.contextmanager
    def worker(
        self,
        worker_class: str,
        *,
        pod: str = "pod-0",
        amqp_url: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[workers.Worker]:
        """Run one worker, once it is ready. What is left of it at the block's end is killed, to save time."""
        with workers.run_worker(
            self.config,
            amqp_url or self.broker.amqp_url,
            self.directory,
            worker_class=worker_class,
            pod=pod,
            python_path=(workers.ROOT,),
            environment={"EFFECTS_FILE": str(self.effects_file), **(environment or {})},
            grace_seconds=0.0,
        ) as worker:
            worker.wait_ready()
            yield worker

    @property
    def effects_file(self) -> Path:
        return self.directory / "effects.jsonl"

    def effects(self, task_id: str | None = None) -> list[dict[str, Any]]:
        """What the tasks noted, one task's only if asked for."""
        if not self.effects_file.exists():
            return []
        notes = [json.loads(line) for line in self.effects_file.read_text().splitlines()]
        return [note for note in notes if task_id in (None, note["id"])]

    def depth_now(self, queue: str) -> QueueDepth:
        """What a queue holds at this moment, without the statistics' delay."""
        with Management(self.broker.management_url) as api:
            return api.depths()[queue]

    def depth(self, queue: str) -> int:
        """Messages in a queue, waiting or being worked on."""
        with Management(self.broker.management_url) as api:
            return api.queues()[queue].total
