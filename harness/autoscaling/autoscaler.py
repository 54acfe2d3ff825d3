"""One target's autoscaler, an HPA or what KEDA makes of a ScaledObject, with its memory of earlier decisions."""

from __future__ import annotations

from collections.abc import Sequence

from harness.autoscaling.activation import Activation
from harness.autoscaling.behavior import State
from harness.autoscaling.hpa import Decision, decide
from harness.autoscaling.keda import ScaledObject
from harness.autoscaling.observation import Observation, PodSample
from harness.autoscaling.operator import Operator, Queues
from harness.autoscaling.serving import Told
from harness.autoscaling.spec import HpaSpec
from harness.autoscaling.triggers import TriggerMetric


class Autoscaler:
    """What KEDA serves, what the controller decides, what KEDA adds between zero and one. No I/O, no clock.

    Times are seconds on the pods' axis; a cron trigger needs that to be Unix time.
    """

    def __init__(self, spec: HpaSpec, keda: ScaledObject | None, *, created_seconds: float) -> None:
        self.spec = spec
        self._created_seconds = created_seconds
        self._operator = Operator(keda, created_seconds=created_seconds) if keda else None
        self._state = State()

    @property
    def keda(self) -> ScaledObject | None:
        """The ScaledObject, None for a plain HPA."""
        return self._operator.scaled if self._operator else None

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
        return self._operator.triggers if self._operator else ()

    @property
    def told(self) -> tuple[Told, ...]:
        """What KEDA's own metrics say of each trigger it serves."""
        return self._operator.told if self._operator else ()

    def change(self, spec: HpaSpec, keda: ScaledObject | None) -> None:
        """Go on by a changed object, with the memory there is."""
        self.spec = spec
        if keda and self._operator:
            self._operator.change(keda)
        else:
            self._operator = Operator(keda, created_seconds=self._created_seconds) if keda else None

    def observe(self, pods: Sequence[PodSample], *, desired: int, queues: Queues, now_seconds: float) -> Observation:
        """Return what the controller sees now."""
        ready = sum(bool(pod.ready) and not pod.deleting for pod in pods)
        served: dict[str, int | None] = {}
        if self._operator:
            served = self._operator.metrics(
                current_replicas=desired, ready_replicas=ready, queues=queues, now_seconds=now_seconds
            )
        return Observation(
            spec_replicas=desired,
            status_replicas=sum(not pod.deleting for pod in pods),
            pods=tuple(pods),
            external_milli={name: (milli,) for name, milli in served.items() if milli is not None},
            unavailable=frozenset(name for name, milli in served.items() if milli is None),
        )

    def sync(self, observation: Observation, *, now_seconds: float) -> Decision:
        """Decide as the HPA's controller does, and remember."""
        decision, self._state = decide(self.spec, self._state, observation, now_seconds=now_seconds)
        return decision

    def poll(self, *, desired: int, ready: int, queues: Queues, now_seconds: float) -> Activation:
        """Decide as KEDA's operator does once a polling interval; `ready` pods.

        Raises ValueError where there is no ScaledObject.
        """
        if self._operator is None:
            raise ValueError(f"{self.spec.name} is no ScaledObject")
        return self._operator.poll(
            current_replicas=desired, ready_replicas=ready, queues=queues, now_seconds=now_seconds
        )
