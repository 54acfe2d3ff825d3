"""One target's autoscaler, an HPA or what KEDA makes of a ScaledObject, with its memory of earlier decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.autoscaling.activation import Activation, activate, activity
from harness.autoscaling.behavior import State
from harness.autoscaling.hpa import Decision, decide
from harness.autoscaling.keda import ScaledObject
from harness.autoscaling.observation import Observation, PodSample
from harness.autoscaling.serving import QueueNumbers, Served, Told, is_active, metric_milli, polled, serve
from harness.autoscaling.spec import HpaSpec
from harness.autoscaling.triggers import TriggerMetric

Queues = Mapping[str, QueueNumbers] | None
"""Queue statistics by name; None when their source did not answer."""


class Autoscaler:
    """What KEDA serves, what the controller decides, what KEDA adds between zero and one. No I/O, no clock.

    Times are seconds on the pods' axis; a cron trigger needs that to be Unix time.
    """

    def __init__(self, spec: HpaSpec, keda: ScaledObject | None, *, created_seconds: float) -> None:
        self.spec = spec
        self.keda = keda
        self._created_seconds = created_seconds
        self._state = State()
        self._last_active_seconds: float | None = None
        self._failures: dict[str, int] = {}
        self._told: dict[str, Told] = {}

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

    @property
    def told(self) -> tuple[Told, ...]:
        """What KEDA's own metrics say of each trigger it serves."""
        return tuple(self._told.get(trigger.name, Told(trigger)) for trigger in self.triggers)

    def observe(self, pods: Sequence[PodSample], *, desired: int, queues: Queues, now_seconds: float) -> Observation:
        """Return what the controller sees now."""
        external: dict[str, tuple[int, ...]] = {}
        ready = sum(bool(pod.ready) and not pod.deleting for pod in pods)
        for trigger in self.triggers:
            value = self._served(trigger, ready, desired, queues, now_seconds).milli
            if value is not None:
                external[trigger.name] = (value,)
        return Observation(
            spec_replicas=desired,
            status_replicas=sum(not pod.deleting for pod in pods),
            pods=tuple(pods),
            external_milli=external,
            unavailable=frozenset(each.name for each in self.triggers if each.name not in external),
        )

    def sync(self, observation: Observation, *, now_seconds: float) -> Decision:
        """Decide as the HPA's controller does, and remember."""
        decision, self._state = decide(self.spec, self._state, observation, now_seconds=now_seconds)
        return decision

    def poll(self, *, desired: int, ready: int, queues: Queues, now_seconds: float) -> Activation:
        """Decide as KEDA's operator does once a polling interval; `ready` pods.

        Raises ValueError where there is no ScaledObject.
        """
        if self.keda is None:
            raise ValueError(f"{self.spec.name} is no ScaledObject")
        answers = [
            polled(_active(trigger, queues, now_seconds), self._served(trigger, ready, desired, queues, now_seconds))
            for trigger in self.triggers
        ]
        for trigger, answer in zip(self.triggers, answers, strict=True):
            if answer is not None:
                self._told[trigger.name] = replace(self._told[trigger.name], active=answer)
        active, error = activity(self.keda, answers)
        outcome = activate(
            self.keda,
            current_replicas=desired,
            active=active,
            error=error,
            last_active_seconds=self._last_active_seconds,
            created_seconds=self._created_seconds,
            now_seconds=now_seconds,
        )
        self._last_active_seconds = outcome.last_active_seconds
        return outcome

    def _served(self, trigger: TriggerMetric, ready: int, desired: int, queues: Queues, now_seconds: float) -> Served:
        if self.keda is None:
            return Served(None)
        served = serve(
            self.keda,
            trigger,
            _answer(trigger, queues, now_seconds),
            failures=self._failures.get(trigger.name, 0),
            current_replicas=desired,
            ready_replicas=ready,
        )
        self._failures[trigger.name] = served.failures
        self._told[trigger.name] = self._told.get(trigger.name, Told(trigger)).served(served)
        return served


def _answer(trigger: TriggerMetric, queues: Queues, now_seconds: float) -> int | None:
    if queues is None and trigger.kind == "rabbitmq":
        return None
    return metric_milli(trigger, queues or {}, now_seconds=now_seconds)


def _active(trigger: TriggerMetric, queues: Queues, now_seconds: float) -> bool | None:
    if queues is None and trigger.kind == "rabbitmq":
        return None
    return is_active(trigger, queues or {}, now_seconds=now_seconds)
