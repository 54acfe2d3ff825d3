"""A small comparison as a user starts it: real runs of both ways, cut in the middle, gone on with, and its page."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import processes

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS = 400
SCENARIO = """
name: small
title: A few tasks of both kinds
description: Mails, then mails and documents.
limit_seconds: 100
seed: 7
services:
  smtp: {latency_seconds: 1}
  storage: {latency_seconds: 0.2}
tasks:
  - {task: forgot_password_mail, group: io, share: 4, service_seconds: 1.0, cpu_seconds: 0.003}
  - {task: generate_question_paper_pdfs, group: cpu, share: 1, service_seconds: 0.4, cpu_seconds: 0.02}
phases:
  - {name: alone, seconds: 4, rate_per_second: 4, groups: [io]}
  - {name: beside-cpu, seconds: 6, rate_per_second: 10}
publisher: {deadline_seconds: 30, cpu_seconds: 0.001}
objectives:
  - {name: lost, max: 0}
  - {name: refused_finally, max: 0}
"""


@pytest.mark.full
@pytest.mark.timeout(2 * RUN_SECONDS)
def test_both_ways_run_the_same_tasks_also_when_cut_between_them(tmp_path: Path) -> None:
    scenario, reports = tmp_path / "small.yaml", tmp_path / "reports"
    scenario.write_text(SCENARIO)
    once = ("--budget", "4,64", "--runs", "1")  # the budget that it would have anyhow
    begun = _start(str(scenario), "--before", "baseline", *once, "--reports", str(reports))
    try:
        processes.wait_until(
            lambda: (
                any(reports.glob("compare-*/before/*/report.html"))
                and any(reports.glob("compare-*/after/.*.partial/journals"))
            ),
            timeout_seconds=RUN_SECONDS / 2,
            what="the first run and the begin of the second",
        )
        begun.send_signal(signal.SIGINT)
        _, told = begun.communicate(timeout=60)
    finally:
        if begun.poll() is None:
            begun.kill()
    assert begun.returncode == 130, told
    (directory,) = reports.glob("compare-*")
    assert f"harness compare --resume {directory}" in told
    ended = _start("--resume", str(directory), "--json")
    text, told = ended.communicate(timeout=RUN_SECONDS)
    assert ended.returncode == 0, told
    found = json.loads(text)
    measures = found["scenarios"]["small"]["measures"]
    for side, most in (("before", 4.0), ("after", 4.0)):
        (run,) = found["scenarios"]["small"]["runs"][side]
        assert run["passed"]
        assert run["figures"]["not_done"] == 0
        assert 0 < run["figures"]["cores_most"] <= most
        assert run["figures"]["p95 io alone"] >= 1.0
        assert json.loads((directory / run["path"] / "result.json").read_text())["completed"] == 76
    assert measures["gib_hours"]["ratio"]["median"] < 0.5
    assert (directory / "report.html").stat().st_size > 100_000


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness", "compare", "--no-forecast", *arguments],
        cwd=ROOT,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
