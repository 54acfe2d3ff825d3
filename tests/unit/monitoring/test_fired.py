"""When alerts fired, from points given by hand."""

from __future__ import annotations

import pytest

from harness.monitoring import fired
from harness.monitoring.answers import Curve
from harness.monitoring.fired import Fired

LABELS = {"alertname": "QueueFilling", "severity": "warning", "class": "io", "queue": "io", "alertstate": "firing"}


def points(*times: float) -> tuple[tuple[float, float], ...]:
    return tuple((at, 1.0) for at in times)


def test_stretches_are_intervals_and_the_last_one_is_open_where_it_reaches_the_end() -> None:
    curve = Curve(LABELS, points(1010, 1011, 1012, 1030, 1031))
    assert fired.intervals([curve], step_seconds=1, end=1031, started_at=1000) == [
        Fired("QueueFilling", "warning", "io", 10, 13),
        Fired("QueueFilling", "warning", "io", 30, None),
    ]


def test_they_come_in_order_of_their_start() -> None:
    other = Curve({"alertname": "BreakerOpen", "severity": "critical", "breaker": "mail"}, points(5, 6))
    found = fired.intervals([Curve(LABELS, points(7)), other], step_seconds=1, end=100)
    assert [(one.name, one.about) for one in found] == [("BreakerOpen", "mail"), ("QueueFilling", "io")]
    assert found[1].as_dict() == {"name": "QueueFilling", "severity": "warning", "about": "io", "start": 7, "end": 8}


@pytest.mark.parametrize(("window", "step"), [(60, 1), (10_000, 1), (10_001, 2), (86_400, 9)])
def test_the_step_is_as_fine_as_prometheus_answers_at_once(window: float, step: float) -> None:
    assert fired.step_seconds(window) == step


def test_a_queue_that_is_called_otherwise_than_its_class_is_named_beside_it() -> None:
    assert fired.about({"class": "io", "queue": "mail"}) == "io mail"
    assert fired.about({}) == ""
