"""Medians, ranges and ratios of two sides, and how they are told."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.compare import page, panels, words
from harness.compare.measures import MEASURES, Measure
from harness.compare.summary import Row, document, middle, saved
from harness.spike.result import Result
from harness.spike.spread import Spread
from harness.spike.words import printable
from tests.unit.compare.made import BUDGET, PRICES, comparison, run_of, surge
from tests.unit.spike_report import scenes

SECONDS = Measure("drain_seconds", "Gone after", "s")


@pytest.fixture(scope="module")
def fast() -> Result:
    return surge()


@pytest.fixture(scope="module")
def slow() -> Result:
    return surge(io_pods=1)


def drained(result: Result, seconds: float | None) -> Result:
    return replace(result, drain_seconds=seconds)


def test_a_row_divides_the_medians_and_gives_the_widest_range() -> None:
    row = Row(SECONDS, (400.0, 440.0, 420.0), (40.0, 50.0, 42.0))
    assert row.ratio == Spread(median=0.1, lowest=40 / 440, highest=50 / 400, runs=3)
    assert saved(row) == pytest.approx(0.9)
    assert words.figure(SECONDS, row.before, PRICES) == "420.0 s (400.0-440.0)"


def test_a_side_without_a_figure_has_no_ratio_and_says_so() -> None:
    assert Row(SECONDS, (None,), (4.0,)).ratio is None
    assert saved(Row(SECONDS, (4.0,), (None,))) is None
    assert words.figure(SECONDS, (None,), PRICES) == "-"
    assert words.figure(SECONDS, (None, 4.0), PRICES) == "4.0 s, none in 1 of 2"


@pytest.mark.parametrize(
    ("unit", "digits", "text"),
    [("s", 1, "0.5 s"), ("share", 0, "50 %"), ("money", 4, "0.5000 EUR"), ("", 2, "0.50")],
)
def test_figures_have_their_unit(unit: str, digits: int, text: str) -> None:
    assert words.figure(Measure("k", "K", unit, digits), (0.5,), PRICES) == text


positive = st.floats(0.1, 1e4)


@given(st.lists(positive, min_size=1, max_size=5), st.lists(positive, min_size=1, max_size=5))
def test_the_ratio_of_the_medians_lies_in_its_range_and_turns_around(before: list[float], after: list[float]) -> None:
    found, turned = Row(SECONDS, tuple(before), tuple(after)).ratio, Row(SECONDS, tuple(after), tuple(before)).ratio
    assert found is not None
    assert turned is not None
    assert found.lowest <= found.median * (1 + 1e-9)
    assert found.median <= found.highest * (1 + 1e-9)
    assert turned.median == pytest.approx(1 / found.median)
    assert turned.lowest == pytest.approx(1 / found.highest)


def test_the_middle_run_is_drawn_and_one_that_never_drained_is_the_slowest(fast: Result) -> None:
    runs = [run_of(drained(fast, seconds), str(seconds)) for seconds in (None, 30.0, 10.0)]
    assert middle(runs).path == "30.0"
    assert middle(runs[:2]).path == "30.0"
    assert middle(runs[:1]).path == "None"


def test_the_document_has_every_figure_of_both_sides(fast: Result, slow: Result) -> None:
    found = json.loads(json.dumps(document(comparison([slow, slow], [fast])), allow_nan=False))
    assert (found["budget"], found["runtime"], found["passed"]) == ({"cores": 4, "memory_gib": 64}, "local", True)
    assert found["sides"]["after"]["environment"] == "prod,keda"
    told = found["scenarios"]["surge"]
    drain = told["measures"]["drain_seconds"]
    assert drain["before"] == dict.fromkeys(("median", "lowest", "highest"), slow.drain_seconds) | {"runs": 2}
    assert drain["ratio"]["median"] == pytest.approx(fast.drain_seconds / slow.drain_seconds)
    assert told["saved"]["load_cost"] == pytest.approx(1 - told["measures"]["load_cost"]["ratio"]["median"])
    assert [len(told["runs"][side]) for side in ("before", "after")] == [2, 1]
    assert {one.key for one in MEASURES} < told["measures"].keys()


def test_a_run_that_missed_an_objective_fails_the_comparison(fast: Result) -> None:
    assert comparison([fast], [fast]).passed
    assert not comparison([fast], [replace(fast, passed=False)]).passed


def test_a_terminal_is_told_what_is_equal_and_every_figure(fast: Result, slow: Result) -> None:
    text = words.text(comparison([slow], [fast]), page="report.html")
    assert text.startswith("COMPARED  baseline and prod,keda on local")
    assert "4 cores and 64 GiB" in text
    assert "at most 8 pods (io 5, cpu 3) with 112 slots" in text
    for one in MEASURES:
        assert one.title in text
    assert "95 % of io tasks were done within" in text
    assert "times as fast after as before" in " ".join(text.split())
    assert text.rstrip().endswith("report.html")


def test_on_kind_the_factor_is_told_of(fast: Result) -> None:
    told = " ".join(words.held_equal(comparison([fast], [fast], runtime="kind")))
    assert "divided by one factor" in told
    assert "divided" not in " ".join(words.held_equal(comparison([fast], [fast])))


def test_a_backlog_that_was_never_gone_is_told_of(fast: Result) -> None:
    told = comparison([drained(fast, None)], [fast]).compared[0]
    assert "never gone" in words.sentence(told)


def test_both_timelines_stand_on_the_longer_ones_axis(fast: Result, slow: Result) -> None:
    wanted = panels.axis(slow, fast)
    assert wanted == list(range(slow.timeline.seconds[0], slow.timeline.seconds[-1] + 1))
    drawn = {panel.key: panel for panel in panels.panels(slow, fast, budget=BUDGET)}
    assert list(drawn) == ["rates", "work", "depth", "latency", "requests", "cpu"]
    for panel in drawn.values():
        assert all(len(series.values) == len(wanted) for series in panel.series), panel.key
    assert [one.name for one in drawn["requests"].series] == ["before", "after", "budget 4"]
    assert [one.name for one in drawn["latency"].series] == [
        "before", "after", "cpu before", "cpu after", "io before", "io after",
    ]  # fmt: skip
    done = drawn["rates"].series[1].values
    assert sum(filter(None, done)) == slow.counts.completed


def test_the_page_shows_both_sides_and_the_way_to_the_runs(fast: Result, slow: Result) -> None:
    text = page.render(comparison([slow], [fast]))
    assert "Before: baseline" in text
    assert 'href="after/0/report.html"' in text
    assert text.count('class="chart"') == 6
    assert "http://" not in text.partition("<script>")[0]


def test_names_of_a_run_do_not_become_markup(fast: Result) -> None:
    text = scenes.HOSTILE
    groups = {text: {text: fast.by_group["io"]["normal"], "b": fast.by_group["io"]["surge"]}}
    setup = {**fast.setup, "values_files": [text]}
    hostile = replace(fast, title=text, description=text, by_group=groups, setup=setup)
    known = replace(comparison([hostile], [hostile]), name=text, command=text, runtime=text)
    text = page.render(known).partition("<script>")[0]
    assert "<img" not in text
    assert "</script><script>document" not in text
    assert printable(words.text(known, page="p")) == words.text(known, page="p")
