"""What the harness makes of a story: the same answers as the oracle's."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

from harness.autoscaling import Operator, ScaledObject, hpa_from_scaled_object
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
    replicas, metrics = _life(scaled, story)
    return {"refused": "", "hpa": None if scaled.paused else hpa, "replicas": replicas, "metrics": metrics}


def _life(scaled: ScaledObject, story: Document) -> tuple[list[int], list[dict[str, int | None]]]:
    start, current, ready = EPOCH + story["start"], story["replicas"], 0
    operator = Operator(scaled, created_seconds=math.floor(start))
    replicas, metrics = [], []
    for index, step in enumerate(story["steps"]):
        now, queues = start + index * scaled.polling_seconds, _queues(step)
        outcome = operator.poll(current_replicas=current, ready_replicas=ready, queues=queues, now_seconds=now)
        current, ready = current if outcome.replicas is None else outcome.replicas, step["readyPods"]
        replicas.append(current)
        asked = {"current_replicas": current, "ready_replicas": ready, "queues": _queues(step, "later")}
        metrics.append({} if scaled.paused else operator.metrics(**asked, now_seconds=now + SETTLE_SECONDS))
        current = step.get("set", current)
    return replicas, metrics


def _with_broker(manifest: Document) -> Document:
    """Put a broker's address in, as the oracle does whatever the story says of it."""
    changed = copy.deepcopy(manifest)
    for trigger in changed["spec"]["triggers"]:
        if trigger["type"] == "rabbitmq":
            trigger["metadata"]["host"] = BROKER
    return changed


def _queues(step: Document, when: str = "queues") -> Queues:
    if step["down"]:
        return None
    return {
        name: QueueStats(name, one["ready"], one["unacked"], 1, one["publish"], one["deliver"], 0.0)
        for name, one in step.get(when, step["queues"]).items()
    }
