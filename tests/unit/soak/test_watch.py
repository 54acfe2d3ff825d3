"""When a soak is at its end."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from harness.soak.watch import BACK_SECONDS, nothing_left

ALL_THERE = {"io": (2, 2), "cpu": (1, 1)}
ONE_AWAY = {"io": (1, 2), "cpu": (1, 1)}


@pytest.mark.parametrize(
    ("waiting", "pods", "still_seconds", "over"),
    [
        (0, ALL_THERE, 0.0, True),
        (3, ALL_THERE, 0.0, False),
        (None, ALL_THERE, 0.0, False),
        (0, ONE_AWAY, 10.0, False),  # killed with the last tasks: its return is to be seen
        (0, ONE_AWAY, BACK_SECONDS + 1, True),  # the verdict says that it never came back
        (3, ONE_AWAY, BACK_SECONDS + 1, False),
    ],
)
def test_the_end_waits_for_tasks_and_for_pods_that_come_back(
    waiting: int | None, pods: Mapping[str, tuple[int, int]], still_seconds: float, over: bool
) -> None:
    assert nothing_left(waiting=waiting, pods=pods, still_seconds=still_seconds) is over
