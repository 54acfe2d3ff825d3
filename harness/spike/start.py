"""When the load begins. Pure."""

from __future__ import annotations

SYNC_SECONDS = 15.0  # the HorizontalPodAutoscaler controller's period
RECONCILE_SECONDS = 0.05
"""What a decision takes: the controller takes an autoscaler up again a period after it is done with it.

Seen on a kind cluster, whose autoscalers ask KEDA: 15.03 to 15.10 s from one decision to the next.
"""
CLUSTER_SYNC_SECONDS = SYNC_SECONDS + RECONCILE_SECONDS
AFTER_SYNC_SECONDS = 0.5
LOCUST_START_SECONDS = 5.0  # Locust takes three to come up
LOCUST_POD_START_SECONDS = 10.0  # and its pod as long again


def start_after_sync(
    next_sync_at: float | None,
    *,
    now: float,
    start_seconds: float = LOCUST_START_SECONDS,
    sync_seconds: float = SYNC_SECONDS,
) -> float | None:
    """Return when the load begins: just after the autoscaler has decided, so that every run waits the longest time.

    Load that begins at a chance moment would meet the next decision after anything between nothing and a whole
    period, and two runs could not be compared. `start_seconds` is what the load generator may take to come up,
    `sync_seconds` the time from one decision to the next.
    """
    if next_sync_at is None:
        return None
    at = next_sync_at + AFTER_SYNC_SECONDS
    while at < now + start_seconds:
        at += sync_seconds
    return at
