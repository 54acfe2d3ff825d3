"""When a run's load begins."""

from __future__ import annotations

import pytest

from harness.spike.start import AFTER_SYNC_SECONDS, LOCUST_START_SECONDS, SYNC_SECONDS, start_after_sync


@pytest.mark.parametrize("ahead_seconds", [-40.0, -0.1, 0.0, 3.0, 4.9, 5.0, 14.9])
def test_load_begins_just_after_the_first_sync_that_leaves_time_to_start(ahead_seconds: float) -> None:
    now = 1_000.0
    at = start_after_sync(now + ahead_seconds, now=now)
    assert at is not None
    since_sync = (at - (now + ahead_seconds)) % SYNC_SECONDS
    assert since_sync == pytest.approx(AFTER_SYNC_SECONDS)
    assert LOCUST_START_SECONDS <= at - now < LOCUST_START_SECONDS + SYNC_SECONDS


def test_a_load_generator_that_takes_longer_to_come_up_waits_for_a_later_sync() -> None:
    assert start_after_sync(1_006.0, now=1_000.0) == 1_006.0 + AFTER_SYNC_SECONDS
    assert start_after_sync(1_006.0, now=1_000.0, start_seconds=10.0) == 1_006.0 + SYNC_SECONDS + AFTER_SYNC_SECONDS


def test_load_begins_at_once_where_syncs_are_not_known() -> None:
    assert start_after_sync(None, now=5.0) is None
