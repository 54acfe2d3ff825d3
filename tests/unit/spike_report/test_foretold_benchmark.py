"""The verdict of benchmarks/foretold.py: several runs of a scenario beside their forecast."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.foretold import Row, kept, rows
from harness.errors import HarnessError
from harness.spike import forecast, report, result
from harness.spike.result import Result
from tests.unit.spike_report import scenes
from tests.unit.spike_report.synthetic import EPOCH

pytestmark = pytest.mark.xdist_group("report page")  # where the campaign is simulated already
SCENARIO = "email-campaign"
CALIBRATION = {"source": "20261126-101500-calibration-0a1b2c", "runtime": "local"}


def campaign() -> Result:
    """The run that was foretold."""
    return scenes.campaign(2_000)


def drain() -> float:
    return campaign().drain_seconds or 0.0


def runs(*drains: float | None, told: dict[str, Any] | None = None, **changes: Any) -> list[Result]:
    """Runs like the one that was foretold, but for how long they took."""
    made = forecast.Forecast.of(campaign(), calibration=CALIBRATION, written_at=campaign().started_at - 30)
    document = {**made.as_dict(), **(told or {})}
    return [replace(campaign(), drain_seconds=seconds, forecast=document, **changes) for seconds in drains]


def of(found: list[Row], figure: str) -> Row:
    return next(row for row in found if row.figure.startswith(figure))


def test_the_median_of_the_runs_is_compared() -> None:
    found = rows(SCENARIO, runs(drain() * 1.3, drain() * 0.98, drain() * 1.01), runs=3)
    assert [row.figure for row in found] == ["forecast", "drain, s", "most waiting in io", "pods of celery-io-worker"]
    assert all(row.passed for row in found)
    assert not of(rows(SCENARIO, runs(drain() * 1.3, drain() * 1.3, drain()), runs=3), "drain").passed
    assert of(found, "forecast").foretold == CALIBRATION["source"]


@pytest.mark.parametrize(("factor", "holds"), [(1.04, True), (0.96, True), (1.06, False), (0.93, False)])
def test_five_per_cent_of_the_most_waiting_are_tolerated(factor: float, holds: bool) -> None:
    told = {"peak_depth_messages": {queue: peak * factor for queue, peak in forecast.peak_depths(campaign()).items()}}
    assert of(rows(SCENARIO, runs(drain(), told=told), runs=1), "most waiting").passed is holds


def test_pods_must_take_the_same_steps_in_most_runs() -> None:
    other = replace(
        campaign(), scale_events=[{**event, "after": event["after"] + 1} for event in campaign().scale_events]
    )
    (one,) = runs(drain())
    different = replace(one, scale_events=other.scale_events)
    assert of(rows(SCENARIO, [one, one, different], runs=3), "pods").passed
    assert not of(rows(SCENARIO, [one, different, different], runs=3), "pods").passed


def test_a_backlog_that_stayed_in_one_run_holds_in_no_case() -> None:
    assert not of(rows(SCENARIO, runs(drain(), drain(), None), runs=3), "drain").passed


@pytest.mark.parametrize(
    ("told", "changes", "difference"),
    [
        ({"calibration": {**CALIBRATION, "source": "assumed"}}, {}, "not calibrated: harness calibrate"),
        (
            {"calibration": {**CALIBRATION, "source": "20261126-101500-email-campaign-0a1b2c"}},
            {},
            "calibrated by the same scenario",
        ),
        ({}, {"runtime": "kind"}, "calibrated on local"),
        ({"written_at": EPOCH + 1}, {}, "not before the load"),
    ],
)
def test_what_was_not_foretold_from_other_figures_is_no_forecast(
    told: dict[str, Any], changes: dict[str, Any], difference: str
) -> None:
    row = of(rows(SCENARIO, runs(drain(), told=told, **changes), runs=1), "forecast")
    assert (row.passed, row.difference) == (False, difference)


def test_all_runs_must_have_been_foretold_alike() -> None:
    (one,) = runs(drain())
    (other,) = runs(drain(), told={"drain_seconds": drain() + 1})
    assert of(rows(SCENARIO, [one, other], runs=2), "forecast").difference == "the runs' forecasts differ"


def test_too_few_runs_and_one_without_a_forecast_are_no_comparison() -> None:
    with pytest.raises(HarnessError, match="2 runs, 3 wanted"):
        rows(SCENARIO, runs(drain(), drain()), runs=3)
    with pytest.raises(HarnessError, match="a run has no forecast"):
        rows(SCENARIO, [*runs(drain()), replace(campaign(), forecast=None)], runs=2)


def test_runs_that_are_there_count_once_by_scenario_and_runtime_and_not_when_cut_short(tmp_path: Path) -> None:
    (one,) = runs(drain())
    made = {
        "later": replace(one, started_at=one.started_at + 60, run_id="later"),
        "earlier": replace(one, run_id="earlier"),
        "elsewhere": replace(one, runtime="kind", run_id="elsewhere"),
        "another": replace(one, scenario="ai-questions", run_id="another"),
        "cut": replace(one, interrupted=True, run_id="cut"),
    }
    for name, each in made.items():
        result.write(each, tmp_path / name)
    report.point_latest(tmp_path / "later")
    assert [each.run_id for each in kept(SCENARIO, runtime="local", reports=tmp_path)] == ["earlier", "later"]
