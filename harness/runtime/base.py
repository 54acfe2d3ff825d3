"""What every runtime offers to a spike run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Manifest = Mapping[str, Any]
LOOK_SECONDS = 1.0
"""How often a cluster's release is looked at: its events are seen up to so much later than they happened."""
CUT_OFF_SECONDS = 1.0
"""Up to so much later than an API server says it something happened: its timestamps are whole seconds."""


@dataclass(frozen=True)
class Release:
    """One chart render to install.

    `secrets` maps a Secret's name to its string data (the runtime provides them, the chart only names them).
    """

    name: str
    namespace: str
    manifests: Sequence[Manifest]
    secrets: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class CpuWindow:
    """A time, in seconds of the runtime's clock, over which the CPU use of a pod was measured, and its mean."""

    began_at: float
    ended_at: float
    cores: float


@dataclass(frozen=True)
class PodState:
    """One replica as the runtime sees it; times are seconds of the runtime's clock (`time.time()`)."""

    name: str
    deployment: str
    phase: str  # Pending | Running | Terminating | Failed
    ready: bool
    started_at: float
    ready_at: float | None
    cpu: CpuWindow | None  # the last one measured, None before the first
    memory_bytes: int | None
    restarts: int = 0

    @property
    def cpu_cores(self) -> float | None:
        """The mean over the last metrics window, None before the first."""
        return None if self.cpu is None else self.cpu.cores


@dataclass(frozen=True)
class ContainerState:
    """One container: what it may use and has used. Amounts are cores, bytes and, for CPU used, seconds.

    `cpu_seconds`, `memory_bytes` and the network's are of the last measurement, None before the first. The network is
    the pod's.
    """

    pod: str
    deployment: str
    name: str
    requests: Mapping[str, float]
    limits: Mapping[str, float]
    cpu_seconds: float | None
    memory_bytes: int | None
    received_bytes: int | None
    sent_bytes: int | None


@dataclass(frozen=True)
class ScaleState:
    """Replica counts of one Deployment and the last decision about them."""

    deployment: str
    desired: int
    running: int
    ready: int
    minimum: int | None
    maximum: int | None


@dataclass(frozen=True)
class ScaleEvent:
    """One change of a Deployment's desired replicas."""

    at: float
    deployment: str
    before: int
    after: int
    reason: str  # e.g. "s0-rabbitmq-io 5,200/200 per pod -> 26, limited by 3 pods/60 s"


@dataclass(frozen=True)
class RuntimeEvent:
    """Anything else worth showing on a timeline: pod started, killed, restarted, gone."""

    at: float
    kind: str
    subject: str
    message: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


class Runtime(Protocol):
    """A place to run a release. Not thread-safe: one thread calls `tick` at least every 0.5 s and everything else."""

    name: str

    def install(self, release: Release) -> None:
        """Start the release's Jobs and Deployments; return once every Job has succeeded. Raises HarnessError."""

    def wait_ready(self, *, timeout_seconds: float) -> None:
        """Return once each Deployment has all desired replicas Ready. Raises HarnessError saying what was missing."""

    def tick(self) -> None:
        """Advance probes, restarts, metrics and scaling to now."""

    def pods(self) -> list[PodState]:
        """Return every pod of the release, those that are stopping too."""

    def scales(self) -> list[ScaleState]:
        """Return every Deployment's replica counts."""

    def scale(self, deployment: str, replicas: int) -> None:
        """Set a Deployment's replicas, as `kubectl scale` does; a scaler may change them again."""

    def next_sync_at(self) -> float | None:
        """Return a moment at which the autoscalers decide, as they do again and again after it.

        On the runtime's clock; None where that is not known.
        """

    def scale_events(self) -> list[ScaleEvent]:
        """Return the changes of desired replicas so far, oldest first."""

    def events(self) -> list[RuntimeEvent]:
        """Return what else happened so far, oldest first."""

    def kill(self, pod: str, signal_number: int) -> None:
        """Send a signal to a pod's main process. Raises InputError for a pod that is not there."""

    def logs(self, pod: str) -> Path:
        """Return the file with a pod's output."""

    def uninstall(self) -> None:
        """Stop everything this runtime started, gracefully first. Safe to call twice and after a failed install."""
