"""The alerts of a run in its result, on its timeline and in its table."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.errors import InputError
from harness.spike import panels, report
from harness.spike.result import Result
from tests.unit.spike_report import scenes

ALERTS = (
    {"name": "QueueFilling", "severity": "warning", "about": "io", "start": 4.5, "end": 9.0},
    {"name": "QueueNearlyFull", "severity": "critical", "about": "io", "start": 6.0, "end": None},
    {"name": "QueueFilling", "severity": "warning", "about": "io", "start": 12.0, "end": 13.0},
)


@pytest.fixture(scope="module")
def watched() -> Result:
    return replace(scenes.campaign(), alerts=ALERTS)


def test_they_survive_the_file(watched: Result) -> None:
    document = json.loads(json.dumps(watched.as_dict()))
    again = Result.from_dict(document)
    assert list(again.alerts or ()) == list(ALERTS)
    without = {key: value for key, value in document.items() if key != "alerts"}
    assert Result.from_dict(without).alerts is None  # a result of before there were any
    with pytest.raises(InputError, match="alerts"):
        Result.from_dict({**document, "alerts": [{"name": "x"}]})


def test_each_has_a_lane_on_which_it_is_drawn_while_it_fires(watched: Result) -> None:
    panel = panels.panels(watched)[0]
    assert (panel.key, panel.lanes) == ("alerts", ["QueueFilling io", "QueueNearlyFull io"])
    filling, full = panel.series
    at = dict(zip(watched.timeline.seconds, filling.values, strict=True))
    assert [second for second, value in at.items() if value == 1] == [4, 5, 6, 7, 8, 12]
    assert {value for second, value in zip(watched.timeline.seconds, full.values, strict=True) if second >= 6} == {2}
    assert (filling.colour, full.colour) == ("warn", "bad")
    assert "QueueNearlyFull io fired from 6 s to the end." in panel.summary


def test_a_run_without_alerts_has_no_lanes_and_says_so_where_somebody_watched() -> None:
    quiet = replace(scenes.campaign(), alerts=())
    assert "alerts" not in {panel.key for panel in panels.panels(quiet)}
    assert "no alert fired" in report.render(quiet)
    assert "Alerts that fired" not in report.render(scenes.campaign())


def test_the_page_lists_them(watched: Result) -> None:
    page = report.render(watched)
    for told in ("Alerts that fired", "QueueNearlyFull io", "4.5 s"):
        assert told in page
