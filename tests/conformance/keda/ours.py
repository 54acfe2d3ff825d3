"""What the harness makes of a story: the same answers as the oracle's."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.autoscaling import (
    ScaledObject,
    Served,
    TriggerMetric,
    activate,
    activity,
    hpa_from_scaled_object,
    is_active,
    metric_milli,
    polled,
    serve,
)
from harness.broker.stats import QueueStats
from tests.conformance.keda.stories import Document

EPOCH = 946_684_800.0  # 2000-01-01 00:00 UTC, where the oracle's time begins
BROKER = "http://rabbitmq:15672/"
SETTLE_SECONDS = 0.25  # from a polling to the asking after it

Queues = Mapping[str, QueueStats] | None  # None: the broker does not answer


def live(story: Document) -> dict[str, Any]:
    """Return "refused", "hpa", and for each polling "replicas" and "metrics"."""
    manifest = _with_broker(story["scaledObject"])
    try:
        scaled, hpa = ScaledObject.from_manifest(manifest), hpa_from_scaled_object(manifest)
    except ValueError as error:
        return {"refused": str(error), "hpa": None, "replicas": [], "metrics": []}
    start = EPOCH + story["start"]
    life = _Life(scaled, created=math.floor(start), replicas=story["replicas"])
    replicas, metrics = [], []
    for index, step in enumerate(story["steps"]):
        now = start + index * scaled.polling_seconds
        life.poll(_queues(step), now)
        replicas.append(life.replicas)
        life.ready = step["readyPods"]
        metrics.append({} if scaled.paused else life.ask(_queues(step), now + SETTLE_SECONDS))
        life.replicas = step.get("set", life.replicas)
    return {"refused": "", "hpa": None if scaled.paused else hpa, "replicas": replicas, "metrics": metrics}


@dataclass
class _Life:
    scaled: ScaledObject
    created: float
    replicas: int
    ready: int = 0
    last_active: float | None = None
    failures: dict[str, int] = field(default_factory=dict)

    def poll(self, queues: Queues, now: float) -> None:
        if self.scaled.paused:
            return
        answers = [
            polled(self._active(trigger, queues, now), self._serve(trigger, queues, now))
            for trigger in self.scaled.triggers
            if trigger.external
        ]
        active, error = activity(self.scaled, answers)
        outcome = activate(
            self.scaled,
            current_replicas=self.replicas,
            active=active,
            error=error,
            last_active_seconds=self.last_active,
            created_seconds=self.created,
            now_seconds=now,
        )
        self.last_active = outcome.last_active_seconds
        self.replicas = self.replicas if outcome.replicas is None else outcome.replicas

    def ask(self, queues: Queues, now: float) -> dict[str, int | None]:
        return {
            trigger.name: self._serve(trigger, queues, now).milli
            for trigger in self.scaled.triggers
            if trigger.external
        }

    def _active(self, trigger: TriggerMetric, queues: Queues, now: float) -> bool | None:
        if queues is None and trigger.kind == "rabbitmq":
            return None
        return is_active(trigger, queues or {}, now_seconds=now)

    def _serve(self, trigger: TriggerMetric, queues: Queues, now: float) -> Served:
        silent = queues is None and trigger.kind == "rabbitmq"
        served = serve(
            self.scaled,
            trigger,
            None if silent else metric_milli(trigger, queues or {}, now_seconds=now),
            failures=self.failures.get(trigger.name, 0),
            current_replicas=self.replicas,
            ready_replicas=self.ready,
        )
        self.failures[trigger.name] = served.failures
        return served


def _with_broker(manifest: Document) -> Document:
    """Put a broker's address in, as the oracle does whatever the story says of it."""
    changed = copy.deepcopy(manifest)
    for trigger in changed["spec"]["triggers"]:
        if trigger["type"] == "rabbitmq":
            trigger["metadata"]["host"] = BROKER
    return changed


def _queues(step: Document) -> Queues:
    if step["down"]:
        return None
    return {
        name: QueueStats(name, one["ready"], one["unacked"], 1, one["publish"], one["deliver"], 0.0)
        for name, one in step["queues"].items()
    }
