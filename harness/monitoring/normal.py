"""What latency is normal, as a plan foretold it or a run measured it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.errors import InputError

FIGURE = "p50"


def normal_seconds(document: Mapping[str, Any], classes: Mapping[str, str], *, source: str) -> dict[str, float]:
    """Return the normal latency of each class, in seconds: the median of its slowest queue.

    `document` is a plan.json of one set of values or a run's result.json, `classes` says whose each queue is. Raises
    InputError naming `source` where it is neither, or nothing was completed.
    """
    result = document.get("result", document)
    queues = result.get("by_queue") if isinstance(result, Mapping) else None
    if not isinstance(queues, Mapping):
        raise InputError(f"{source}: neither the plan.json of one set of values nor a run's result.json")
    found: dict[str, float] = {}
    for queue, figures in queues.items():
        seconds = figures.get(FIGURE)
        if queue in classes and seconds:
            found[classes[queue]] = max(found.get(classes[queue], 0.0), float(seconds))
    if not found:
        raise InputError(f"{source}: no task of these values' queues was completed, so nothing is normal")
    return dict(sorted(found.items()))
