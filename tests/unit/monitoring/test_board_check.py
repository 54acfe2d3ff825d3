"""Counting what panels show, on answers given by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from harness.monitoring import board_check
from harness.monitoring.answers import Curve, Sample
from harness.monitoring.board_check import Asked

DOCUMENT = {
    "title": "Board",
    "panels": [
        {
            "title": "Depth",
            "fieldConfig": {"defaults": {"unit": "short"}},
            "targets": [{"expr": "a"}, {"expr": "b", "instant": True}, {"expr": "c", "hide": True}],
        },
        {"type": "row", "panels": [{"title": "Hidden away", "targets": [{"expr": "d"}]}]},
    ],
}


def answered(expression: str, at_once: bool) -> Sequence[Curve | Sample]:
    if expression == "wrong":
        raise ValueError("parse error")
    if at_once:
        return [Sample({}, 1.0, 2.0), Sample({}, 1.0, math.nan)]
    return {"a": [Curve({}, ((1.0, math.nan), (2.0, 3.0)))], "nan": [Curve({}, ((1.0, math.nan),))]}.get(expression, [])


def panel(*queries: tuple[str, bool], unit: str | None = "s") -> Asked:
    return Asked("Board", "Panel", unit, queries)


def test_panels_of_a_document_with_those_of_collapsed_rows() -> None:
    assert board_check.asked(DOCUMENT) == [
        Asked("Board", "Depth", "short", (("a", False), ("b", True))),
        Asked("Board", "Hidden away", None, (("d", False),)),
    ]


def test_variables_are_put_in_and_the_longer_name_first() -> None:
    chosen = {"name": "x", "namespace": "local"}
    assert board_check.filled('a{n="$namespace",m="${name}"}', chosen) == 'a{n="local",m="x"}'


@pytest.mark.parametrize(
    ("asked", "series", "problem"),
    [
        (panel(("a", False), ("b", True)), (1, 1), None),
        (panel(("a", False), ("none", False)), (1, 0), "no series for query B"),
        (panel(("nan", False)), (0,), "no series"),
        (panel(("wrong", False)), (0,), "parse error"),
        (panel(("a", False), unit=None), (1,), "no unit"),
    ],
)
def test_series_with_a_number_are_counted(asked: Asked, series: tuple[int, ...], problem: str | None) -> None:
    (shown,) = board_check.check([asked], answered, {})
    assert (shown.series, shown.problem) == (series, problem)
    assert shown.total == sum(series)
    assert (shown in board_check.empty([shown])) == (problem is not None)


def test_rate_interval_and_range_are_durations() -> None:
    chosen = board_check.variables(namespace="local", release="celery", window_seconds=1800, rate_seconds=60)
    assert board_check.filled("rate(a[$__rate_interval]) + b[$__range:$__interval]", chosen) == (
        "rate(a[60s]) + b[1800s:15s]"
    )
