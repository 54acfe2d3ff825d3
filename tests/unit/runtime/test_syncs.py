"""When autoscalers decide, by what a watch is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from harness.runtime.cluster.syncs import Decisions

Event = tuple[float, str, str, Any]


def decisions(events: Iterable[Event]) -> Decisions:
    found = Decisions()
    for at, change, name, status in events:
        found.told(change, {"metadata": {"name": name}, "status": status}, at=at)
    return found


def test_every_autoscaler_has_decided_when_the_last_of_them_did() -> None:
    seen: list[Event] = [
        (0.0, "ADDED", "io", {}),
        (0.1, "ADDED", "cpu", {}),
        (15.0, "MODIFIED", "io", {"desiredReplicas": 1}),
        (15.2, "MODIFIED", "cpu", {"desiredReplicas": 1}),
        (30.05, "MODIFIED", "io", {"desiredReplicas": 2}),
    ]
    assert decisions(seen).moment() == pytest.approx(30.2)


def test_until_each_was_seen_to_decide_there_is_no_moment() -> None:
    listed: list[Event] = [(0.0, "ADDED", "io", {"desiredReplicas": 1}), (0.0, "ADDED", "cpu", {})]
    assert decisions([]).moment() is None
    assert decisions(listed).moment() is None
    assert decisions([*listed, (7.0, "MODIFIED", "io", {"desiredReplicas": 2})]).moment() is None


def test_what_leaves_the_status_alone_is_no_decision() -> None:
    relabelled: list[Event] = [
        (0.0, "ADDED", "io", {"desiredReplicas": 1}),
        (3.0, "MODIFIED", "io", {"desiredReplicas": 1}),
    ]
    assert decisions(relabelled).moment() is None


def test_a_watch_that_begins_anew_says_nothing_of_what_it_missed() -> None:
    missed: list[Event] = [
        (0.0, "ADDED", "io", {}),
        (15.0, "MODIFIED", "io", {"desiredReplicas": 1}),
        (31.0, "ADDED", "io", {"desiredReplicas": 2}),
    ]
    assert decisions(missed).moment() == 15.0


def test_an_autoscaler_that_goes_is_not_waited_for() -> None:
    gone: list[Event] = [
        (0.0, "ADDED", "io", {}),
        (0.0, "ADDED", "cpu", {}),
        (15.0, "MODIFIED", "io", {"desiredReplicas": 1}),
        (20.0, "DELETED", "cpu", {}),
    ]
    assert decisions(gone).moment() == 15.0
    assert decisions([*gone, (21.0, "DELETED", "io", {})]).moment() is None
