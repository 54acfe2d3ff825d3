"""When the load begins. Pure."""

from __future__ import annotations

SYNC_SECONDS = 15.0  # the HorizontalPodAutoscaler controller's period
AFTER_SYNC_SECONDS = 0.5
LOCUST_START_SECONDS = 5.0  # Locust takes three to come up


def start_after_sync(next_sync_at: float | None, *, now: float) -> float | None:
    """Return when the load begins: just after the autoscaler has decided, so that every run waits the longest time.

    Load that begins at a chance moment would meet the next decision after anything between nothing and a whole
    period, and two runs could not be compared.
    """
    if next_sync_at is None:
        return None
    at = next_sync_at + AFTER_SYNC_SECONDS
    while at < now + LOCUST_START_SECONDS:
        at += SYNC_SECONDS
    return at
