"""result.json: complete, atomic, read back strictly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import HarnessError, InputError
from harness.spike import result
from harness.spike.result import Result
from tests.unit.compare import made
from tests.unit.spike_report import scenes


@pytest.fixture(scope="module")
def campaign() -> Result:
    return scenes.campaign(3000)


def test_it_reads_back_as_it_was_written(campaign: Result, tmp_path: Path) -> None:
    path = result.write(campaign, tmp_path / "run")
    again = result.read(path.parent)
    assert json.dumps(again.as_dict()) == json.dumps(campaign.as_dict())
    assert again.timeline == campaign.timeline
    assert [entry.name for entry in path.parent.iterdir()] == ["result.json"]


def test_the_issues_keys_are_there(campaign: Result) -> None:
    wanted = (
        "scenario runtime offered accepted unconfirmed resolved_late refused_then_accepted refused_finally "
        "refused_stored completed dead_lettered expired lost duplicated drain_seconds ideal_drain_seconds "
        "first_added_ready_seconds objectives timeline"
    )
    document = campaign.as_dict()
    assert not [key for key in wanted.split() if key not in document]
    assert {"name", "target", "measured", "pass"} <= document["objectives"][0].keys()


def test_the_figures_are_those_of_the_simulation(campaign: Result) -> None:
    assert campaign.passed
    assert (campaign.counts.completed, campaign.planned, campaign.counts.lost) == (3000, 3000, 0)
    assert campaign.drain_seconds == pytest.approx(campaign.objectives[2].measured, abs=0.001)
    assert 20 < (campaign.drain_seconds or 0) < 30  # 100 a second until pods come at 21 s, then 400
    assert campaign.first_added_ready_seconds == 21
    assert sum(row["completed"] or 0 for row in campaign.by_queue.values()) == 3000
    assert campaign.latency_seconds["p50"] <= campaign.latency_seconds["p95"] <= campaign.latency_seconds["max"]
    assert campaign.publisher_lag_seconds["max"] == pytest.approx(2, abs=0.1)  # 3,000 at 1,500 a second


def test_groups_of_tasks_are_told_phase_by_phase(tmp_path: Path) -> None:
    grouped = made.surge()
    assert {name: list(phases) for name, phases in grouped.by_group.items()} == {
        "cpu": ["normal", "surge"],
        "io": ["normal", "surge"],
    }
    for phase, row in grouped.by_phase.items():
        assert row["completed"] == sum(phases[phase]["completed"] for phases in grouped.by_group.values())
    (io_task,) = (task for task, group in made.GROUPS.items() if group == "io")
    slowest = max(row["max"] for row in grouped.by_group["io"].values())
    assert slowest == grouped.by_task[io_task]["max"]
    result.write(grouped, tmp_path)
    assert result.read(tmp_path).by_group == grouped.by_group


def test_a_result_from_before_groups_is_still_read(campaign: Result) -> None:
    document = campaign.as_dict()
    del document["by_group"]
    assert Result.from_dict(json.loads(json.dumps(document))).by_group == {}


def test_everything_that_goes_wrong_is_in_it() -> None:
    broken = scenes.broken()
    assert not broken.passed
    assert (broken.counts.lost, len(broken.lost_ids), broken.counts.expired, broken.unknown_effects) == (3, 3, 2, 1)
    assert broken.counts.resolved_late == 4
    assert broken.duplicates == {"mail": 10}
    assert {outcome.name for outcome in broken.missed} >= {
        "lost",
        "refused_finally",
        "drain_seconds",
        "unknown_effects",
    }


def test_an_interrupted_run_never_passes() -> None:
    run = scenes.simulate([replace(scenes.IO, arrivals=scenes.burst(50))])
    facts = scenes.facts("email-campaign", [scenes.IO], run)
    assert scenes.build(facts, run, [scenes.LOST]).passed
    assert not scenes.build(replace(facts, interrupted=True), run, [scenes.LOST]).passed


def test_a_task_planned_but_never_offered_fails_the_run() -> None:
    run = scenes.simulate([replace(scenes.IO, arrivals=scenes.burst(50))])
    run.due["forgotten"] = scenes.EPOCH
    outcome = scenes.build(scenes.facts("email-campaign", [scenes.IO], run), run, [scenes.LOST])
    assert [missed.name for missed in outcome.missed] == ["not_as_planned"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 0}, "version: 1 was expected"),
        ({"lost": -1}, "lost: -1 is less than the minimum"),
        ({"offered": "many"}, "offered: 'many' is not of type 'integer'"),
        ({"surprise": 1}, "Additional properties are not allowed"),
        ({"timeline": {}}, "timeline: 'seconds' is a required property"),
    ],
)
def test_a_strange_file_is_refused(campaign: Result, tmp_path: Path, change: dict, message: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(campaign.as_dict() | change))
    with pytest.raises(InputError, match=message):
        result.read(path)


def test_a_changed_number_is_noticed(campaign: Result, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(campaign.as_dict() | {"completed": 2999}))
    with pytest.raises(HarnessError, match="accepted 3000 is not 2999"):
        result.read(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "\xff"])
def test_a_broken_file_is_one_clear_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "result.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"result\.json"):
        result.read(tmp_path)


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        result.read(tmp_path)
