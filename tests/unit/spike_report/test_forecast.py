"""What was foretold beside what came of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from harness.spike import forecast, report
from harness.spike.panels import Beside, panels
from harness.spike.result import Result
from tests.unit.spike_report import scenes

CALIBRATION = {"source": "20261126-cal", "runtime": "local"}


def with_forecast(**changes: Any) -> Result:
    """A run that was foretold by another one of the same kind, in which some figures are made otherwise."""
    run = scenes.campaign(2_000)
    foretold = forecast.Forecast.of(run, calibration=CALIBRATION, written_at=run.started_at - 30)
    return replace(run, forecast=replace(foretold, **changes).as_dict())


def test_a_forecast_that_came_true_holds_in_every_row() -> None:
    rows = forecast.compare(with_forecast())
    assert [row.title for row in rows] == [
        "Time until the backlog was gone",
        "Most messages waiting in io",
        "Pods of io",
    ]
    assert all(row.passed for row in rows)
    assert {row.difference for row in rows} == {"none"}


@pytest.mark.parametrize(("factor", "holds"), [(1.049, True), (0.951, True), (1.06, False), (0.9, False)])
def test_five_per_cent_are_tolerated(factor: float, holds: bool) -> None:
    drain = scenes.campaign(2_000).drain_seconds
    assert drain is not None
    row = forecast.compare(with_forecast(drain_seconds=drain * factor))[0]
    assert row.passed is holds
    assert row.difference == f"{factor - 1:+.1%}"


def test_other_steps_and_a_backlog_that_never_goes_do_not_hold() -> None:
    rows = forecast.compare(with_forecast(drain_seconds=None, steps={"celery-io-worker": [1, 5]}))
    assert [row.passed for row in rows] == [False, True, False]
    assert rows[0].foretold == "never"
    assert rows[2].foretold == "1 → 5"


@pytest.mark.parametrize(("after_the_last_seconds", "holds"), [(-1.0, False), (1.5, True)])
def test_what_an_autoscaler_does_once_all_is_done_is_no_part_of_it(after_the_last_seconds: float, holds: bool) -> None:
    run = with_forecast()
    assert run.drain_seconds is not None
    last = max(run.scale_events, key=lambda event: event["t"])
    late = {**last, "t": run.last_due_seconds + run.drain_seconds + after_the_last_seconds, "before": last["after"]}
    rows = forecast.compare(replace(run, scale_events=[*run.scale_events, {**late, "after": last["after"] - 1}]))
    assert rows[-1].title == "Pods of io"
    assert rows[-1].passed is holds


def test_pods_that_were_not_foretold_do_not_hold() -> None:
    assert forecast.compare(with_forecast(steps={}))[-1].foretold == "no change"
    assert not forecast.compare(with_forecast(steps={}))[-1].passed


def test_a_wrong_forecast_fails_no_objective_and_the_page_shows_it() -> None:
    wrong = with_forecast(drain_seconds=1.0)
    assert wrong.passed
    page = report.render(wrong)
    assert "Foretold and measured" in page
    assert "measured by 20261126-cal" in page
    assert "2 of 3 hold" in page
    assert "waiting foretold" in page
    assert "Foretold and measured" not in report.render(scenes.campaign(2_000))


def test_a_forecast_is_part_of_the_file_and_an_older_file_has_none() -> None:
    document = json.loads(json.dumps(with_forecast().as_dict()))
    again = Result.from_dict(document)
    assert forecast.compare(again) == forecast.compare(with_forecast())
    for key in ("forecast", "foretold"):
        del document[key]
    assert Result.from_dict(document).forecast is None


def test_another_timeline_is_drawn_on_the_runs_axis() -> None:
    run, other = scenes.campaign(2_000), scenes.slow(2_000)
    drawn = panels(run, Beside("(slow)", other.timeline))
    for panel in drawn:
        added = [series for series in panel.series if series.dash == "longdash"]
        assert {len(series.values) for series in added} <= {len(run.timeline.seconds)}
    names = [series.name for panel in drawn for series in panel.series if series.dash == "longdash"]
    assert names == ["done (slow)", "io waiting (slow)", "io wanted (slow)", "io ready (slow)", "p95 (slow)"]
