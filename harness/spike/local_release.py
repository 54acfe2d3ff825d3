"""A release that simply runs on this machine, until somebody ends it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.chart import render
from harness.spike.local_ground import LocalGround, local_ground
from harness.spike.progress import Progress

READY_SECONDS = 120.0
TICK_SECONDS = 0.1
CONFIGURATION = "config"
REDIS = {"redis.existingSecret": "celery-redis"}  # what on-call commands set for all pods is kept there


@dataclass(frozen=True)
class LocalRelease:
    """A release whose workers are ready. `configuration` is what a publisher puts on its PYTHONPATH."""

    name: str
    ground: LocalGround
    topology: Mapping[str, Any]
    configuration: Path

    def run(self, until: Callable[[], bool]) -> None:
        """Keep it going until something holds, which is asked ten times a second."""
        while not until():
            self.ground.runtime.tick()
            time.sleep(TICK_SECONDS)


@contextmanager
def local_release(
    name: str,
    *,
    values: Sequence[Path],
    set_values: Mapping[str, Any] | None = None,
    release: str = "celery",
    profile: Mapping[str, Any] | None = None,
    directory: Path,
    progress: Progress,
    broker_port: int | None = None,
) -> Iterator[LocalRelease]:
    """Install a release as processes and yield it when its workers are ready; all of it ends with the block.

    `profile` is how the stand-in services behave. Raises InputError for values that are refused, HarnessError when
    something does not come up.
    """
    set_values = {**REDIS, **(set_values or {})}
    manifests = render.render(values, release=release, set_values=set_values)
    topology = render.topology(manifests)
    configuration = _write_configuration(manifests, directory / CONFIGURATION)
    with local_ground(
        name,
        release=release,
        manifests=manifests,
        profile=profile or {},
        directory=directory,
        progress=progress,
        broker_port=broker_port,
        values=values,
        set_values=set_values,
    ) as ground:
        progress.step(f"installing {', '.join(path.name for path in values) or 'the default values'}")
        ground.runtime.install(ground.install_of(release, manifests))
        progress.step("waiting for the workers to be ready")
        ground.runtime.wait_ready(timeout_seconds=READY_SECONDS)
        yield LocalRelease(name, ground, topology, configuration)


def _write_configuration(manifests: Sequence[Mapping[str, Any]], directory: Path) -> Path:
    """Write the files of the release's ConfigMap, for publishers: they add the directory to PYTHONPATH."""
    directory.mkdir(parents=True)
    for manifest in manifests:
        if manifest.get("kind") == "ConfigMap" and "topology.json" in (manifest.get("data") or {}):
            for file_name, text in manifest["data"].items():
                (directory / file_name).write_text(text if isinstance(text, str) else json.dumps(text))
    return directory
