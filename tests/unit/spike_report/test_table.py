"""Runs side by side."""

from __future__ import annotations

from dataclasses import replace

from harness.spike.table import HEADER, markdown, steps
from tests.unit.spike_report import scenes


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_runs_of_the_same_scenario_and_values_share_a_line() -> None:
    first = scenes.campaign(400)
    second = replace(first, started_at=first.started_at + 60, drain_seconds=(first.drain_seconds or 0) + 2)
    header, _, *rows = markdown([first, second, scenes.slow(400)]).splitlines()
    assert len(rows) == 2
    line = dict(zip(cells(header), cells(rows[0]), strict=True))
    assert line["scenario"] == first.scenario
    assert line["runs"] == "2"
    assert line["done / offered"] == "800 / 800"
    assert f"({first.drain_seconds:.1f}-{second.drain_seconds:.1f})" in line["drain"]


def test_a_missed_objective_is_named_with_its_figures() -> None:
    missed = scenes.broken(400)
    row = cells(markdown([missed]).splitlines()[2])
    assert "missed" in row
    assert missed.missed[0].measured_words in row[-1]


def test_steps_name_the_classes_and_leave_out_what_came_before_the_load() -> None:
    result = scenes.campaign(400)
    names = {each["deployment"]: name for name, each in result.setup["classes"].items()}
    deployment = next(iter(names))
    events = [
        {"t": -3.0, "deployment": deployment, "before": 0, "after": 1, "reason": ""},
        {"t": 15.0, "deployment": deployment, "before": 1, "after": 4, "reason": ""},
        {"t": 75.0, "deployment": deployment, "before": 4, "after": 5, "reason": ""},
    ]
    assert steps(replace(result, scale_events=events)) == f"{names[deployment]} 1-4-5"


def test_a_hostile_name_cannot_leave_its_cell() -> None:
    hostile = scenes.hostile("a | b\n| c \x1b[31m")
    lines = markdown([hostile]).splitlines()
    assert len(lines) == 3
    unescaped = lines[2].replace("\\|", "")
    assert unescaped.count("|") == lines[0].count("|")
    assert "\x1b" not in lines[2]
    assert len(HEADER) < lines[0].count("|")
