"""What the queues are called that tasks wait in until they are due (delayedDelivery). Pure.

The topology Job makes them (charts/celery-workers/files/apply_topology.py), after kombu's scheme.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def prefix(release: str) -> str:
    """Return what the names of a release's queues and exchanges for delays begin with."""
    return f"{release}_celery_delayed_"


def due_prefix(release: str) -> str:
    """Return what the names of the queues begin with that due tasks leave by; a work queue's name follows."""
    return f"{prefix(release)}due_"


def exchanges(topology: Mapping[str, Any]) -> list[str]:
    """Return the exchanges that tasks pass, the one that publishers send to first; none without delayed delivery.

    All but the last one have a queue of their name.
    """
    settings = topology.get("delayed_delivery")
    if not settings:
        return []
    levels = range(settings["highest_level"], -1, -1)
    return [f"{prefix(topology['release'])}{one}" for one in (*levels, "delivery")]


def due_queues(topology: Mapping[str, Any]) -> list[str]:
    """Return the queues that due tasks leave by, one for each work queue; none without delayed delivery."""
    if not topology.get("delayed_delivery"):
        return []
    return [f"{due_prefix(topology['release'])}{queue}" for queue in sorted(topology["queues"])]


def queues_on_the_way(topology: Mapping[str, Any]) -> list[str]:
    """Return every queue in which a task that is to be done may stand, each before those that it goes on to.

    Who reads them in this order misses no task that goes on meanwhile.
    """
    return [*exchanges(topology)[:-1], *due_queues(topology), *sorted(topology["queues"])]
