"""One Deployment's autoscaler, read from its manifest, and what it sees of the queues."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness import autoscaling
from harness.autoscaling import ControllerConfig, HpaSpec, ScaledObject, hpa_from_scaled_object
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


class Autoscaler(autoscaling.Autoscaler):
    """A rendered HPA, or what KEDA makes of a ScaledObject, and whose it is."""

    def __init__(self, manifest: Manifest, *, controller: ControllerConfig, now: float) -> None:
        """Read the manifest. Raises InputError for one the API server or KEDA would refuse."""
        self.deployment = target_name(manifest)
        self.controller = controller
        self.manifest: Manifest = manifest
        keda, spec = _read(manifest, controller)
        super().__init__(spec, keda, created_seconds=now)

    def follow(self, manifest: Manifest) -> None:
        """Go on by a changed manifest, with the memory there is. Raises InputError, and then goes on by the old one."""
        keda, spec = _read(manifest, self.controller)
        self.change(spec, keda)
        self.manifest = manifest


def _read(manifest: Manifest, controller: ControllerConfig) -> tuple[ScaledObject | None, HpaSpec]:
    try:
        if manifest["kind"] != "ScaledObject":
            return None, HpaSpec.from_manifest(manifest, controller=controller)
        scaled = ScaledObject.from_manifest(manifest)
        return scaled, HpaSpec.from_manifest(hpa_from_scaled_object(manifest), controller=controller)
    except ValueError as error:
        raise InputError(f"{described(manifest)}: {error}") from error
