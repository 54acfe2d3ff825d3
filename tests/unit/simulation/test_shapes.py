"""When tasks arrive."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.simulation import shapes


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_constant_and_burst() -> None:
    assert shapes.constant(4, 1).tolist() == [0, 0.25, 0.5, 0.75]
    assert shapes.constant(0, 10).tolist() == []
    assert shapes.burst(3, at_seconds=2).tolist() == [2, 2, 2]


def test_a_poisson_stream_has_its_rate() -> None:
    times = shapes.poisson(50, 200, rng())
    assert len(times) == pytest.approx(10_000, abs=4 * 100)
    gaps = np.diff(times)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)  # exponential


def test_steps_follow_one_another() -> None:
    times = shapes.steps([(10, 2), (5, 0), (1, 4)])
    assert (len(times), times[19], times[20]) == (24, 9.5, 15.0)
    random = shapes.steps([(100, 2), (100, 20)], rng=rng())
    assert (random < 100).sum() == pytest.approx(200, abs=60)


def test_a_ramp_grows() -> None:
    times = shapes.ramp(0, 10, 10)  # N(t) = t^2 / 2
    assert len(times) == 50
    assert times.tolist() == pytest.approx(np.sqrt(2 * np.arange(50)).tolist())
    assert shapes.ramp(5, 5, 2).tolist() == pytest.approx(shapes.constant(5, 2).tolist())
    falling = shapes.ramp(10, 0, 10, rng=rng())
    assert (falling < 5).sum() > 2 * (falling >= 5).sum()


@given(st.lists(st.floats(0, 40), max_size=20), st.booleans())
def test_counts_keep_the_total_and_the_period(numbers: list[float], random: bool) -> None:
    times = shapes.counts(numbers, period_seconds=60, rng=rng() if random else None)
    assert len(times) == pytest.approx(sum(numbers), abs=1)
    assert (np.diff(times) >= 0).all()
    for minute, number in enumerate(numbers):
        inside = ((times >= 60 * minute) & (times < 60 * (minute + 1))).sum()
        assert abs(inside - number) <= 1


def test_streams_are_merged_in_order() -> None:
    times, sources = shapes.merged(np.array([1.0, 3.0]), np.array([2.0, 3.0]))
    assert (times.tolist(), sources.tolist()) == ([1, 2, 3, 3], [0, 1, 0, 1])


def test_a_csv_of_counts() -> None:
    text = "minute,mail,pdf\n08:00,10,1\n08:01,20,0\n"
    assert shapes.counts_of_csv(text) == {"mail": [10, 20], "pdf": [1, 0]}
    assert shapes.counts_of_csv("5\n7\n") == {"tasks": [5, 7]}
    assert shapes.counts_of_csv("1,5\n2,7\n") == {"tasks": [5, 7]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the CSV is empty"),
        ("minute,mail\n", "a row or more"),
        ("minute,mail\n1,x\n", "line 2, mail: 'x' is no count"),
        ("minute,mail\n1,-2\n", "line 2, mail: '-2' is no count"),
        ("minute,mail\n1\n", "line 2 has 1 columns, expected 2: minute, mail"),
        ("minute,mail,mail\n1,2,3\n", "each once"),
    ],
)
def test_what_is_wrong_with_a_csv_is_said(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        shapes.counts_of_csv(text)


def test_a_range_query_of_prometheus() -> None:
    series = [
        {"metric": {"task": "mail", "pod": "a"}, "values": [[100, "1.5"], [130, "2"], [190, "4"]]},
        {"metric": {"task": "mail", "pod": "b"}, "values": [[100, "0.5"]]},
        {"metric": {"task": "pdf"}, "values": [[130, "7"]]},
    ]
    document = {"status": "success", "data": {"resultType": "matrix", "result": series}}
    step, rates = shapes.rates_of_prometheus(document, label="task")
    assert (step, rates) == (30, {"mail": [2, 2, 0, 4], "pdf": [0, 7, 0, 0]})
    assert sorted(shapes.rates_of_prometheus(document)[1]) == ["pod=a,task=mail", "pod=b,task=mail", "task=pdf"]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "a Prometheus range query"),
        ({"data": {"resultType": "vector", "result": []}}, "resultType matrix"),
        ({"data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "2"]]}]}}, "two samples or more"),
        ({"data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "NaN"]]}]}}, "is no count"),
    ],
)
def test_what_is_wrong_with_a_range_query_is_said(document: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        shapes.rates_of_prometheus(document)
