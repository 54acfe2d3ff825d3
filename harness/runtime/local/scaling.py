"""One Deployment's autoscaler, read from its manifest, and what it sees of the queues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness import autoscaling
from harness.autoscaling import (
    Activation,
    ControllerConfig,
    Decision,
    HpaSpec,
    Observation,
    PodSample,
    ScaledObject,
    Told,
    TriggerMetric,
    hpa_from_scaled_object,
)
from harness.broker.stats import QueueStats
from harness.errors import InputError
from harness.runtime.base import Manifest
from harness.runtime.local.features import described
from harness.runtime.local.objects import target_name

Queues = Mapping[str, QueueStats]
QueueSource = Callable[[], Queues]


@dataclass(frozen=True)
class Sight:
    """Queue statistics at one moment; None, with the problem, when the source did not answer."""

    queues: Queues | None
    problem: str = ""


def look(source: QueueSource) -> Sight:
    """Ask for the queues; a source that fails means metrics that fail, as on a cluster, not the end of the run."""
    try:
        return Sight(source())
    except Exception as error:
        return Sight(None, f"{type(error).__name__}: {error}")


class Autoscaler:
    """A rendered HPA, or what KEDA makes of a ScaledObject, with its memory of earlier decisions. No I/O, no clock."""

    def __init__(self, manifest: Manifest, *, controller: ControllerConfig, now: float) -> None:
        """Read the manifest. Raises InputError for one the API server or KEDA would refuse."""
        self.deployment = target_name(manifest)
        self.controller = controller
        self.manifest: Manifest = manifest
        keda, spec = _read(manifest, controller)
        self._core = autoscaling.Autoscaler(spec, keda, created_seconds=now)

    def change(self, manifest: Manifest) -> None:
        """Go on by a changed manifest, with the memory there is. Raises InputError, and then goes on by the old one."""
        keda, spec = _read(manifest, self.controller)
        self._core.change(spec, keda)
        self.manifest = manifest

    @property
    def spec(self) -> HpaSpec:
        """The HPA, or the one KEDA makes."""
        return self._core.spec

    @property
    def keda(self) -> ScaledObject | None:
        """The ScaledObject, None for a plain HPA."""
        return self._core.keda

    @property
    def minimum(self) -> int:
        """The fewest replicas there will be."""
        return self._core.minimum

    @property
    def paused(self) -> bool:
        """Whether an annotation has KEDA leave the replicas alone: it takes the HPA away meanwhile."""
        return self._core.paused

    @property
    def triggers(self) -> tuple[TriggerMetric, ...]:
        """The triggers KEDA serves a metric for."""
        return self._core.triggers

    @property
    def told(self) -> tuple[Told, ...]:
        """What KEDA's own metrics say of the triggers."""
        return self._core.told

    def observe(self, pods: Sequence[PodSample], *, desired: int, sight: Sight, now: float) -> Observation:
        """Return what the controller sees now."""
        return self._core.observe(pods, desired=desired, queues=sight.queues, now_seconds=now)

    def sync(self, observation: Observation, *, now: float) -> Decision:
        """Decide as the HPA's controller does, and remember."""
        return self._core.sync(observation, now_seconds=now)

    def poll(self, *, desired: int, ready: int, sight: Sight, now: float) -> Activation:
        """Decide as KEDA's operator does once a polling interval; `ready` pods. Only for a ScaledObject."""
        return self._core.poll(desired=desired, ready=ready, queues=sight.queues, now_seconds=now)


def _read(manifest: Manifest, controller: ControllerConfig) -> tuple[ScaledObject | None, HpaSpec]:
    try:
        if manifest["kind"] != "ScaledObject":
            return None, HpaSpec.from_manifest(manifest, controller=controller)
        scaled = ScaledObject.from_manifest(manifest)
        return scaled, HpaSpec.from_manifest(hpa_from_scaled_object(manifest), controller=controller)
    except ValueError as error:
        raise InputError(f"{described(manifest)}: {error}") from error
