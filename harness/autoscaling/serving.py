"""The numbers KEDA serves: a trigger's metric from the broker's queue statistics, its activity, its fallback.

Source: pkg/scalers/rabbitmq_scaler.go, pkg/fallback/fallback.go, pkg/scaling/scale_handler.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from harness.autoscaling.keda import Fallback, ScaledObject
from harness.autoscaling.kernel import ratio
from harness.autoscaling.triggers import TriggerMetric, served_milli


class QueueNumbers(Protocol):
    """What is needed of one queue's statistics; `harness.broker.stats.QueueStats` has it.

    Rates are messages a second, `deliver_rate` the management API's deliver_get rate.
    """

    @property
    def ready(self) -> int:
        """Messages waiting."""

    @property
    def unacked(self) -> int:
        """Messages delivered and not acknowledged."""

    @property
    def publish_rate(self) -> float:
        """Messages that came in, a second."""

    @property
    def deliver_rate(self) -> float:
        """Messages that went out, a second."""


@dataclass(frozen=True)
class Reading:
    """One or more queues taken together: messages as the trigger counts them, rates a second."""

    messages: int
    publish_rate: float
    deliver_rate: float


@dataclass(frozen=True)
class Served:
    """What KEDA answers for one metric: `milli` None is an error. `failures` is to be handed in next time."""

    milli: int | None
    failures: int = 0
    by_fallback: bool = False


@dataclass(frozen=True)
class Told:
    """What KEDA's own metrics say of a trigger: the value it served last and whether the trigger was active.

    Both are None before there was one. `errors` counts how often it had no answer, nor a fallback in its place.
    """

    trigger: TriggerMetric
    value: float | None = None
    active: bool | None = None
    errors: int = 0

    def served(self, answer: Served) -> Told:
        """Return it after one more answer; a value that was served before stands while there is none."""
        if answer.milli is None:
            return replace(self, errors=self.errors + 1)
        return replace(self, value=answer.milli / 1000)


def reading(trigger: TriggerMetric, queues: Mapping[str, QueueNumbers]) -> Reading | None:
    """Return what a rabbitmq trigger sees; None when its queue is not there (an error to KEDA)."""
    if trigger.pattern:
        chosen = [queues[name] for name in sorted(queues) if re.search(trigger.queue, name, re.IGNORECASE)]
        return _together(trigger, chosen)
    queue = queues.get(trigger.queue)
    return None if queue is None else _together(trigger, [queue])


def _together(trigger: TriggerMetric, queues: Sequence[QueueNumbers]) -> Reading:
    if not queues:
        return Reading(0, 0.0, 0.0)
    messages = [queue.ready + (queue.unacked if trigger.counts_unacked else 0) for queue in queues]
    published, delivered = [queue.publish_rate for queue in queues], [queue.deliver_rate for queue in queues]
    if trigger.operation == "max":
        return Reading(max(messages), max(published), max(delivered))
    share = len(queues) if trigger.operation == "avg" else 1
    return Reading(sum(messages) // share, sum(published) / share, sum(delivered) / share)


def metric_value(trigger: TriggerMetric, seen: Reading) -> float:
    """Return a rabbitmq trigger's value in its mode's unit: messages, messages a second, a ratio or seconds.

    With no delivery at all the two quotient modes have nothing to divide by; KEDA then serves `activation_value`.
    """
    publish, deliver = seen.publish_rate, seen.deliver_rate
    if trigger.mode == "QueueLength":
        return float(seen.messages)
    if trigger.mode == "MessageRate":
        return publish
    if trigger.mode == "DeliverGetRate":
        return deliver
    if trigger.mode == "PublishedToDeliveredRatio":
        if publish <= 0:
            return 0.0
        return trigger.activation_value if deliver == 0 else publish / deliver
    if deliver == 0:
        return trigger.activation_value
    return (publish - deliver) / deliver + float(seen.messages) / deliver


def metric_milli(
    trigger: TriggerMetric, queues: Mapping[str, QueueNumbers], *, now_seconds: float | None = None
) -> int | None:
    """Return the value KEDA serves to the HPA in thousandths; None when its source has no answer.

    `now_seconds` (Unix time) is needed for cron. cpu and memory triggers have no such value: ValueError.
    """
    if trigger.kind == "cron":
        return trigger.desired_replicas * 1000 if _window_open(trigger, now_seconds) else 0
    if trigger.kind != "rabbitmq":
        raise ValueError(f"KEDA serves no metric for a {trigger.kind} trigger: the cluster's resource metrics do")
    seen = reading(trigger, queues)
    return None if seen is None else served_milli(metric_value(trigger, seen))


def is_active(
    trigger: TriggerMetric, queues: Mapping[str, QueueNumbers], *, now_seconds: float | None = None
) -> bool | None:
    """Tell whether a trigger alone would wake a target from zero; None when its source has no answer.

    cpu and memory triggers never do. A queue that is published to and not consumed always does in the quotient modes.
    """
    if not trigger.external:
        return False
    if trigger.kind == "cron":
        return _window_open(trigger, now_seconds)
    seen = reading(trigger, queues)
    return None if seen is None else _wakes(trigger, seen)


def _wakes(trigger: TriggerMetric, seen: Reading) -> bool:
    above = metric_value(trigger, seen) > trigger.activation_value
    if trigger.mode == "MessageRate":
        return above or seen.messages > trigger.activation_value
    if trigger.mode == "PublishedToDeliveredRatio":
        return above or (seen.publish_rate > 0 and seen.deliver_rate == 0)
    if trigger.mode == "ExpectedQueueConsumptionTime":
        return above or seen.deliver_rate == 0
    return above


def _window_open(trigger: TriggerMetric, now_seconds: float | None) -> bool:
    if trigger.window is None or now_seconds is None:
        raise ValueError("a cron trigger needs now_seconds")
    return trigger.window.is_open(now_seconds)


def serve(
    scaled: ScaledObject,
    trigger: TriggerMetric,
    milli: int | None,
    *,
    failures: int = 0,
    current_replicas: int = 0,
    ready_replicas: int = 0,
) -> Served:
    """Return what the HPA gets for a metric: its value, an error, or the fallback once it failed too often in a row.

    `milli` is `metric_milli`'s result. `failures` counts every asking, the HPA's and the polling's alike.
    """
    if milli is not None:
        return Served(milli)
    if scaled.fallback is None:
        return Served(None)
    failures += 1
    if failures <= scaled.fallback.failure_threshold:
        return Served(None, failures)
    value = fallback_milli(scaled.fallback, trigger, current_replicas=current_replicas, ready_replicas=ready_replicas)
    return Served(value, failures, by_fallback=value is not None)


def polled(active: bool | None, served: Served) -> bool | None:
    """Return a trigger's activity at a polling, from `is_active` and from what is served then; None when it failed.

    While the fallback stands in for a metric its trigger counts as active: KEDA wakes the target, and no cooldown
    begins (scale_handler.go, getScalerState).
    """
    return True if served.by_fallback else active


def fallback_milli(
    fallback: Fallback, trigger: TriggerMetric, *, current_replicas: int, ready_replicas: int
) -> int | None:
    """Return the value that makes the HPA want the fallback's replicas; None where none can (Value, no ready pod)."""
    replicas = float(_fallback_replicas(fallback, current_replicas))
    if trigger.metric_type == "Value":
        if ready_replicas == 0:
            return None
        replicas = ratio(replicas, float(ready_replicas))
    return int(float(trigger.value_milli) * 0.001 * 1000 * replicas)  # KEDA's own order, cut to an integer


def _fallback_replicas(fallback: Fallback, current: int) -> int:
    if fallback.behavior == "currentReplicas":
        return current
    if fallback.behavior == "currentReplicasIfHigher":
        return max(current, fallback.replicas)
    if fallback.behavior == "currentReplicasIfLower":
        return min(current, fallback.replicas)
    return fallback.replicas
