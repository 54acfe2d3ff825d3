"""KEDA's operator for one ScaledObject, with its memory: what it serves, when it wakes the target. No I/O, no clock.

Source: pkg/scaling/scale_handler.go, pkg/scaling/cache/metricscache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.autoscaling.activation import Activation, activate, activity
from harness.autoscaling.keda import ScaledObject
from harness.autoscaling.serving import QueueNumbers, Served, Told, is_active, metric_milli, polled, serve
from harness.autoscaling.triggers import TriggerMetric

Queues = Mapping[str, QueueNumbers] | None
"""Queue statistics by name; None when their source did not answer."""


class Operator:
    """One ScaledObject's life. Times are Unix seconds where it has a cron trigger, else of any one clock."""

    def __init__(self, scaled: ScaledObject, *, created_seconds: float) -> None:
        self.scaled = scaled
        self._created_seconds = created_seconds
        self._last_active_seconds: float | None = None
        self._failures: dict[str, int] = {}
        self._kept: dict[str, int | None] = {}
        self._told: dict[str, Told] = {}

    @property
    def triggers(self) -> tuple[TriggerMetric, ...]:
        """The triggers whose metric KEDA serves."""
        return tuple(trigger for trigger in self.scaled.triggers if trigger.external)

    @property
    def told(self) -> tuple[Told, ...]:
        """What KEDA's own metrics say of each trigger it serves."""
        return tuple(self._told.get(trigger.name, Told(trigger)) for trigger in self.triggers)

    def change(self, scaled: ScaledObject) -> None:
        """Go on by a changed object. Failures and the time it was last active are of its status and stay."""
        self.scaled = scaled
        self._kept.clear()

    def metrics(
        self, *, current_replicas: int, ready_replicas: int, queues: Queues, now_seconds: float
    ) -> dict[str, int | None]:
        """Return what the HPA gets for each external metric, in thousandths; None is an error.

        `useCachedMetrics` serves what the last polling found, its fallback too; that then counts as an answer, so
        failures are counted from the beginning. After an error KEDA forgets all that it kept.
        """
        found: dict[str, int | None] = {}
        for trigger in self.triggers:
            kept = trigger.name in self._kept
            answer = self._kept[trigger.name] if kept else _answer(trigger, queues, now_seconds)
            found[trigger.name] = self._served(trigger, answer, current_replicas, ready_replicas).milli
            if found[trigger.name] is None:
                self._kept.clear()
        return found

    def poll(self, *, current_replicas: int, ready_replicas: int, queues: Queues, now_seconds: float) -> Activation:
        """Decide as KEDA does once a polling interval, and remember."""
        found = [
            (trigger, self._served(trigger, _answer(trigger, queues, now_seconds), current_replicas, ready_replicas))
            for trigger in self.triggers
        ]
        self._kept = {trigger.name: served.milli for trigger, served in found if trigger.uses_cache}
        states = [polled(_active(trigger, queues, now_seconds), served) for trigger, served in found]
        for (trigger, _), active in zip(found, states, strict=True):
            if active is not None:
                self._told[trigger.name] = replace(self._told[trigger.name], active=active)
        woken, error = activity(self.scaled, states)
        outcome = activate(
            self.scaled,
            current_replicas=current_replicas,
            active=woken,
            error=error,
            last_active_seconds=self._last_active_seconds,
            created_seconds=self._created_seconds,
            now_seconds=now_seconds,
        )
        self._last_active_seconds = outcome.last_active_seconds
        return outcome

    def _served(self, trigger: TriggerMetric, answer: int | None, current: int, ready: int) -> Served:
        served = serve(
            self.scaled,
            trigger,
            answer,
            failures=self._failures.get(trigger.name, 0),
            current_replicas=current,
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
