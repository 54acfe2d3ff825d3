"""`harness report` on what is no spike's run: it shows the comparison, the soak, the plan, or says what it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.chaos.verdict import Row, Verdict
from harness.cli import cli
from harness.compare import summary
from harness.compare import words as comparison_words
from harness.soak import state
from harness.spike import report, result
from tests.unit.compare import made
from tests.unit.soak.test_verdict import judged
from tests.unit.spike_report import scenes

Shows = Callable[..., Result]


@pytest.fixture
def shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shows:
    """What the command answers about a folder of tmp_path."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli, ["report", "--reports", str(tmp_path), *words])


def comparison_in(directory: Path) -> summary.Comparison:
    found = replace(made.comparison([made.surge(io_pods=1)], [made.surge()]), name=directory.name)
    for run in (*found.compared[0].before, *found.compared[0].after):
        result.write(run.result, directory / run.path)
    (directory / "compare.json").write_text("{}")
    (directory / "result.json").write_text(json.dumps(summary.document(found)))
    return found


def test_a_comparison_is_shown_as_its_own_command_does(tmp_path: Path, shows: Shows) -> None:
    found, page = comparison_in(tmp_path / "compare-1"), tmp_path / "compare-1" / "report.html"
    told = shows("compare-1")
    assert told.exit_code == 0, told.output
    assert told.output.strip() == comparison_words.text(found, page=str(page)).strip()
    assert "surge" in page.read_text()
    assert json.loads(shows("compare-1", "--json").output) == json.loads(json.dumps(summary.document(found)))
    assert shows(str(tmp_path / "compare-1" / "result.json")).output == told.output


def test_a_comparison_that_is_not_whole_says_what_is_missing(tmp_path: Path, shows: Shows) -> None:
    found = comparison_in(tmp_path / "compare-1")
    (tmp_path / "compare-1" / found.compared[0].after[0].path / "result.json").unlink()
    assert "after/0/result.json: no such file" in str(shows("compare-1").exception)
    (tmp_path / "compare-1" / "result.json").write_text('{"version": 1, "comparison": "x"}')
    assert "no comparison's result: KeyError: 'command'" in str(shows("compare-1").exception)
    (tmp_path / "compare-1" / "result.json").unlink()
    assert "go on with it: harness compare --resume" in str(shows("compare-1").exception)


def test_of_a_soak_its_account_is_shown_or_how_to_go_on(tmp_path: Path, shows: Shows) -> None:
    wanted = state.Wanted(
        tasks=10, seed=1, faults=(), environment="prod", at_least_per_second=1, at_most_per_second=None
    )
    run = state.begin(tmp_path, wanted)
    assert "not accounted for yet; go on with it: harness soak --resume" in str(shows(run.name).exception)
    verdict = judged()
    (run.directory / state.VERDICT).write_text(json.dumps({**verdict.as_dict(), "setup": {}}))
    told = shows(run.name)
    assert told.exit_code == 0, told.output
    assert f"{verdict.total['completed']:,} of {verdict.tasks:,} tasks done" in told.output
    assert f"passed; the report: {run.directory / 'report.html'}" in told.output
    assert json.loads(shows(run.name, "--json").output)["passed"] is True
    report.point_latest(run.directory)
    assert "tasks done" in shows("latest").output
    (run.directory / state.VERDICT).write_text("{}")
    assert "soak.json: no soak's verdict: KeyError: 'run'" in str(shows(run.name).exception)


def test_of_a_chaos_run_what_each_fault_cost_is_shown_too(tmp_path: Path, shows: Shows) -> None:
    result.write(scenes.campaign(), tmp_path / "1-chaos")
    assert "Chaos" not in shows("1-chaos").output
    row = Row(
        fault="expiry", title="Waits too long", injected=1, accepted=360, completed=346, dead_lettered=14,
        deaths={"expired": 14}, lost=0, duplicated=0, recovery_seconds=None,
    )  # fmt: skip
    verdict = Verdict(seed=7, rows=[row], mail_duplicates=0, mails_at_risk=3, problems=["expiry: never came back"])
    assert Verdict.from_dict(json.loads(json.dumps(verdict.as_dict()))) == verdict
    (tmp_path / "1-chaos" / "chaos.json").write_text(json.dumps(verdict.as_dict()))
    told = shows("1-chaos")
    assert told.exit_code == 0, told.output
    assert "Chaos, seed 7" in told.output
    assert "14 expired" in told.output
    assert "mails sent again: 0 (in work at a strike: 3)" in told.output
    assert "PROBLEM  expiry: never came back" in told.output
    (tmp_path / "1-chaos" / "chaos.json").write_text("[]")
    assert "chaos.json: no verdict of a chaos run" in str(shows("1-chaos").exception)


def test_what_cannot_be_written_is_named(tmp_path: Path, shows: Shows) -> None:
    result.write(scenes.campaign(), tmp_path / "1-run")
    picture = f"{'x' * 300}.svg"
    told = shows("1-run", "--picture", picture)
    assert str(told.exception) == f"--picture {picture}: File name too long; name a file you may write"
    page = tmp_path / "1-run" / "report.html"
    page.unlink()
    page.mkdir()
    assert str(shows("1-run").exception).startswith(f"{page}: cannot be written: Is a directory; ")
    found = comparison_in(tmp_path / "compare-1")
    page = tmp_path / found.name / "report.html"
    page.mkdir()
    assert str(shows("compare-1").exception).startswith(f"{page}: cannot be written: Is a directory; ")


def test_a_plan_says_that_nothing_ran(tmp_path: Path, shows: Shows) -> None:
    (tmp_path / "plan-1").mkdir()
    foretold = {"environment": "prod + keda", "result": replace(scenes.campaign(), foretold=True).as_dict()}
    path = tmp_path / "plan-1" / "plan.json"
    path.write_text(json.dumps(foretold))
    told = shows("plan-1")
    assert told.exit_code == 0, told.output
    assert told.output.startswith("Foretold for prod + keda; nothing ran.")
    assert "WOULD PASS" in told.output
    path.write_text(json.dumps({"version": 1, "plans": [foretold, {**foretold, "environment": "prod"}]}))
    assert shows("plan-1").output.count("WOULD PASS") == 2
    path.write_text("[]")
    assert "plan.json: no plan" in str(shows("plan-1").exception)
    path.write_bytes(b"\xff")
    assert "plan.json: cannot be read: 'utf-8' codec" in str(shows("plan-1").exception)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--table", "--capacity"), "--table does not go with --capacity: leave one out"),
        (("--list", "1-run"), "--list does not go with RUN: leave one out"),
        (("--capacity", "1-run", "--open"), "--capacity does not go with --open: leave one out"),
        (("--table", "--picture", "a.svg", "--json"), "--table does not go with --picture, --json: leave one out"),
    ],
)
def test_what_would_be_ignored_is_refused(shows: Shows, words: tuple[str, ...], message: str) -> None:
    assert str(shows(*words).exception) == message


def test_a_tuning_and_a_run_that_did_not_finish_are_told_apart(tmp_path: Path, shows: Shows) -> None:
    (tmp_path / "tune-1").mkdir()
    (tmp_path / "tune-1" / "tune.html").write_text("")
    (tmp_path / "failed-1").mkdir()
    assert "tune-1 is a tuning" in shows("tune-1").output
    assert "no JSON document" in str(shows("tune-1", "--json").exception)
    assert "only a spike's run is drawn, and tune-1 is a tuning" in str(shows("tune-1", "--picture", "x").exception)
    assert "failed-1: no finished run: it has no result.json" in str(shows("failed-1").exception)
    assert "nothing: no such run" in str(shows("nothing").exception)
