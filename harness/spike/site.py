"""Where a run takes place: what every place offers to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.broker.server import Broker
from harness.monitoring.configuration import Target
from harness.runtime.base import Release, Runtime
from harness.spike.prepared import Prepared, Request
from harness.spike.progress import Progress
from harness.spike.services import Services
from harness.spike.start import LOCUST_START_SECONDS, SYNC_SECONDS


class Generator(Protocol):
    """A load generator at work."""

    def poll(self) -> int | None:
        """Return its exit code, None while it runs. Raises HarnessError when it cannot be run."""


@dataclass(frozen=True)
class Ground:
    """What a run stands on, all of it running; addresses and paths are those of this process.

    `generate` runs the load, from `start_at` on (seconds since the epoch, None: as soon as it can); it writes journals
    to `journals`. Where journals and effects come into being elsewhere, `refresh` brings the newest now and then, and
    `settle` brings all. `machine_cores` says how many cores of the machine that all of it shares were busy since it was
    last asked, None where there is no such machine. A busy broker may leave a question unanswered; one that answers
    none for `silence_seconds` ends the run. `start_seconds` is what the load generator may take to come up,
    `sync_seconds` the time from one decision of an autoscaler to the next.
    """

    broker: Broker
    services: Services
    journals: Path
    runtime: Runtime
    release: Release
    generate: Callable[[float | None], AbstractContextManager[Generator]]
    refresh: Callable[[], None] = lambda: None
    settle: Callable[[], None] = lambda: None
    machine_cores: Callable[[], float | None] = lambda: None
    silence_seconds: float = 30.0
    start_seconds: float = LOCUST_START_SECONDS
    sync_seconds: float = SYNC_SECONDS
    targets: Sequence[Target] = ()  # what Prometheus reads of it, where that is on this machine


class Site(Protocol):
    """A place to run a scenario."""

    name: str
    ready_seconds: float

    def values(self, request: Request) -> Sequence[Path]:
        """Return the values files of a run here, in order. Raises InputError."""

    def cores(self) -> int:
        """Return how many cores all pods share."""

    def check(self, prepared: Prepared, progress: Progress) -> None:
        """Raise InputError when the run cannot be had here; may make the place first, which takes its time."""

    def ground(self, prepared: Prepared, directory: Path, progress: Progress) -> AbstractContextManager[Ground]:
        """Start all that the release needs; it ends with the block. `directory` takes logs and data."""

    def facts(self) -> Mapping[str, str]:
        """Return versions and properties of the place that a reader of the report should know."""
