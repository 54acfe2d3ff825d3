"""One Deployment's autoscaler: what it sees, what the core decides, what KEDA adds between zero and one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.autoscaling import (
    Activation,
    ControllerConfig,
    Decision,
    HpaSpec,
    Observation,
    PodSample,
    ScaledObject,
    Served,
    State,
    TriggerMetric,
    activate,
    activity,
    decide,
    hpa_from_scaled_object,
    is_active,
    metric_milli,
    polled,
    serve,
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
        self._state = State()
        self._created_at = now
        self._last_active_at: float | None = None
        self._failures: dict[str, int] = {}
        self.manifest: Manifest = manifest
        self.keda, self.spec = _read(manifest, controller)

    def change(self, manifest: Manifest) -> None:
        """Go on by a changed manifest, with the memory there is. Raises InputError, and then goes on by the old one."""
        self.keda, self.spec = _read(manifest, self.controller)
        self.manifest = manifest

    @property
    def minimum(self) -> int:
        """The fewest replicas there will be."""
        if self.keda is None:
            return self.spec.min_replicas
        idle = self.keda.idle_replicas
        return self.keda.min_replicas if idle is None else idle

    @property
    def paused(self) -> bool:
        """Whether an annotation has KEDA leave the replicas alone: it takes the HPA away meanwhile."""
        return self.keda is not None and self.keda.paused

    @property
    def triggers(self) -> tuple[TriggerMetric, ...]:
        """The triggers KEDA serves a metric for."""
        return tuple(trigger for trigger in self.keda.triggers if trigger.external) if self.keda else ()

    def observe(self, pods: Sequence[PodSample], *, desired: int, sight: Sight, now: float) -> Observation:
        """Return what the controller sees now."""
        external: dict[str, tuple[int, ...]] = {}
        ready = sum(bool(pod.ready) and not pod.deleting for pod in pods)
        for trigger in self.triggers:
            value = self._served(trigger, ready, desired, sight, now).milli
            if value is not None:
                external[trigger.name] = (value,)
        return Observation(
            spec_replicas=desired,
            status_replicas=sum(not pod.deleting for pod in pods),
            pods=tuple(pods),
            external_milli=external,
            unavailable=frozenset(each.name for each in self.triggers if each.name not in external),
        )

    def sync(self, observation: Observation, *, now: float) -> Decision:
        """Decide as the HPA's controller does, and remember."""
        decision, self._state = decide(self.spec, self._state, observation, now_seconds=now)
        return decision

    def poll(self, *, desired: int, ready: int, sight: Sight, now: float) -> Activation:
        """Decide as KEDA's operator does once a polling interval; `ready` pods. Only for a ScaledObject."""
        if self.keda is None:
            raise ValueError(f"{self.spec.name} is no ScaledObject")
        answers = [
            polled(self._active(trigger, sight, now), self._served(trigger, ready, desired, sight, now))
            for trigger in self.triggers
        ]
        active, error = activity(self.keda, answers)
        outcome = activate(
            self.keda,
            current_replicas=desired,
            active=active,
            error=error,
            last_active_seconds=self._last_active_at,
            created_seconds=self._created_at,
            now_seconds=now,
        )
        self._last_active_at = outcome.last_active_seconds
        return outcome

    def _served(self, trigger: TriggerMetric, ready: int, desired: int, sight: Sight, now: float) -> Served:
        if self.keda is None:
            return Served(None)
        served = serve(
            self.keda,
            trigger,
            _answer(trigger, sight, now),
            failures=self._failures.get(trigger.name, 0),
            current_replicas=desired,
            ready_replicas=ready,
        )
        self._failures[trigger.name] = served.failures
        return served

    def _active(self, trigger: TriggerMetric, sight: Sight, now: float) -> bool | None:
        if sight.queues is None and trigger.kind == "rabbitmq":
            return None
        return is_active(trigger, sight.queues or {}, now_seconds=now)


def _read(manifest: Manifest, controller: ControllerConfig) -> tuple[ScaledObject | None, HpaSpec]:
    try:
        if manifest["kind"] != "ScaledObject":
            return None, HpaSpec.from_manifest(manifest, controller=controller)
        scaled = ScaledObject.from_manifest(manifest)
        return scaled, HpaSpec.from_manifest(hpa_from_scaled_object(manifest), controller=controller)
    except ValueError as error:
        raise InputError(f"{described(manifest)}: {error}") from error


def _answer(trigger: TriggerMetric, sight: Sight, now: float) -> int | None:
    if sight.queues is None and trigger.kind == "rabbitmq":
        return None
    return metric_milli(trigger, sight.queues or {}, now_seconds=now)
