"""`harness plan`, and what `harness validate` asks it, as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.chart.values import ROOT
from harness.planning.figures import assumed
from tests.commands import harness

SCENARIO = """\
name: small
title: A small burst
description: >-
  A few hundred mails at once.
limit_seconds: 120
seed: 1
services:
  smtp: {{latency_seconds: 2}}
tasks:
  - {{task: forgot_password_mail, service_seconds: 2, cpu_seconds: 0.0021}}
phases:
  - {{name: burst, count: {count}}}
publisher:
  deadline_seconds: 60
objectives:
  - {{name: lost, max: 0}}
  - {{name: drain_seconds, max: {drain}}}
"""


pytestmark = pytest.mark.timeout(400)
LIMIT_SECONDS = 300  # the first one compiles the simulator


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """A folder for plans, and beside it figures of workers that no calibration of this machine's owner changes."""
    (tmp_path / "figures.json").write_text(json.dumps(assumed("local").as_dict()))
    return tmp_path / "reports"


def shell(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it as a user does, in a process of its own."""
    command = [sys.executable, "-c", "from harness.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, cwd=ROOT)


def small(directory: Path, *, count: int = 600, drain: float = 30) -> Path:
    path = directory / "small.yaml"
    path.write_text(SCENARIO.format(count=count, drain=drain))
    return path


def plan(
    *arguments: str | Path, reports: Path, run: Callable[..., subprocess.CompletedProcess[str]] = harness
) -> subprocess.CompletedProcess[str]:
    given = () if "--calibration" in arguments else ("--calibration", reports.parent / "figures.json")
    return run("plan", "--reports", reports, *given, *arguments)


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_plan_says_whether_all_is_met_and_leaves_a_page(tmp_path: Path, reports: Path) -> None:
    done = plan(small(tmp_path), reports=reports, run=shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("WOULD PASS  small on local, prod + keda: foretold, not run")
    assert "assumed" in done.stdout
    (folder,) = reports.iterdir()
    kept = json.loads((folder / "plan.json").read_text())
    assert kept["passed"]
    assert kept["result"]["offered"] == kept["result"]["completed"] == 600
    page = (folder / "report.html").read_text()
    assert "No task was run" in page
    assert "What holds it back" in page


def test_a_missed_objective_is_exit_code_1_with_a_change_that_meets_it(tmp_path: Path, reports: Path) -> None:
    done = plan("--scenario", small(tmp_path, count=2000, drain=12), "--env", "prod,keda", "--json", reports=reports)
    assert done.returncode == 1
    found = document(done)
    assert found["drain_seconds"] > 12
    assert found["binding"]["constraints"]
    assert found["changes"], "more pods from the start, or more slots, would do"
    texts = {change["key"]: change["text"] for change in found["changes"]}
    assert texts["min-replicas"].startswith("min replicas of io 1 -> ")


@pytest.mark.full
def test_the_change_it_names_meets_the_objectives_and_one_less_does_not(tmp_path: Path, reports: Path) -> None:
    scenario = small(tmp_path, count=2000, drain=12)
    found = document(plan(scenario, "--json", reports=reports))
    text = next(one["text"] for one in found["changes"] if one["key"] == "min-replicas")
    pods = int(text.rpartition(" ")[2])
    codes = [
        plan(
            scenario, "--no-explain", "--set", f"workers.io.replicas.min={number}", "--env", "prod,keda",
            reports=reports,
        ).returncode
        for number in (pods, pods - 1)
    ]  # fmt: skip
    assert codes == [0, 1]


@pytest.mark.full
def test_two_environments_stand_side_by_side(tmp_path: Path, reports: Path) -> None:
    done = plan(small(tmp_path), "--compare", "prod", "prod,keda", "--no-explain", reports=reports)
    assert done.returncode == 0
    assert "prod + keda" in done.stdout
    (folder,) = reports.iterdir()
    assert [one["environment"] for one in json.loads((folder / "plan.json").read_text())["plans"]] == [
        "prod",
        "prod + keda",
    ]
    assert "(prod + keda)" in (folder / "report.html").read_text()


def test_a_days_arrivals_take_the_place_of_the_phases(tmp_path: Path, reports: Path) -> None:
    day = tmp_path / "day.csv"
    day.write_text("minute,forgot_password_mail\n0,60\n1,120\n")
    done = plan(small(tmp_path), "--arrivals", day, "--no-explain", "--json", reports=reports)
    assert done.returncode == 0
    assert document(done)["result"]["offered"] == 180
    alone = plan("--arrivals", day, reports=reports)
    assert (alone.returncode, "--task" in alone.stderr) == (2, True)


def test_a_calibration_is_used_and_named(tmp_path: Path, reports: Path) -> None:
    figures = replace(assumed("local"), source="20261126-cal")
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps(figures.as_dict()))
    done = plan(small(tmp_path), "--calibration", mine, "--no-explain", reports=reports)
    assert "measured by 20261126-cal" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such"], "unknown scenario"),
        (["ai-questions", "--env", "nowhere"], "unknown environment"),
        (["ai-questions", "--scenario", "email-slow"], "given twice"),
        (["ai-questions", "--compare", "prod", "dev", "--env", "prod"], "leave --env out"),
        (["ai-questions", "--calibration", "none.json"], "none.json"),
        (["ai-questions", "--task", "x", "--service-seconds", "2"], "--arrivals"),
    ],
)
def test_bad_input_is_one_message(arguments: list[str], said: str, reports: Path) -> None:
    done = plan(*arguments, reports=reports)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not reports.exists()


def test_validate_foretells_a_scenario(tmp_path: Path, reports: Path) -> None:
    figures = ("--calibration", reports.parent / "figures.json")
    good = harness("validate", "--env", "prod,keda", "--scenario", small(tmp_path), *figures)
    assert good.returncode == 0
    assert "small foretold on local, figures of workers assumed" in good.stdout
    bad = harness(
        "validate", "--env", "prod,keda", "--scenario", small(tmp_path, count=2000, drain=12), "--json", *figures
    )
    assert bad.returncode == 1
    (check,) = [one for one in json.loads(bad.stdout)["checks"] if one["name"] == "capacity"]
    (problem,) = check["problems"]
    assert problem["message"].startswith("time until the backlog was gone would be ")
    assert "binds: " in problem["message"]


@pytest.mark.full
def test_validate_checks_a_rate() -> None:
    assert harness("validate", "--env", "prod", "--rate", "io=100").returncode == 0
    bad = harness("validate", "--env", "prod", "--rate", "io=600")
    assert bad.returncode == 1
    assert "1,200 slots" in bad.stdout
    assert harness("validate", "--env", "prod", "--rate", "gpu=1:1").returncode == 2
