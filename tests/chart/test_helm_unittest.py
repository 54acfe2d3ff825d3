"""The chart's own helm-unittest suites, as a program and as helm's plugin."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from harness import tools
from harness.chart.values import CHART

LIMIT_SECONDS = 180


def run(command: list[str | Path], **environment: str) -> subprocess.CompletedProcess[str]:
    arguments = [str(word) for word in command]
    return subprocess.run(
        arguments, capture_output=True, text=True, timeout=LIMIT_SECONDS, env={**os.environ, **environment}
    )


@pytest.mark.timeout(LIMIT_SECONDS)
def test_every_suite_of_the_chart_passes() -> None:
    done = run([tools.find_helm_unittest(), "--strict", CHART])
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^Tests:\s+(\d+) passed, (\d+) total", done.stdout, re.MULTILINE)
    assert passed, done.stdout
    assert passed[1] == passed[2]
    assert int(passed[2]) > 0


def test_a_failing_suite_is_noticed(tmp_path: Path, echo_chart: Path) -> None:
    (echo_chart / "tests").mkdir()
    (echo_chart / "tests" / "wrong_test.yaml").write_text(
        "suite: wrong\ntemplates: [echo.yaml]\ntests:\n- it: fails\n  asserts: [{isKind: {of: Secret}}]\n"
    )
    assert run([tools.find_helm_unittest(), echo_chart]).returncode == 1


def test_the_plugin_form_works_with_each_helm(helm: Path, echo_chart: Path) -> None:
    (echo_chart / "tests").mkdir()
    (echo_chart / "tests" / "right_test.yaml").write_text(
        "suite: right\ntemplates: [echo.yaml]\ntests:\n- it: passes\n  asserts: [{isKind: {of: ConfigMap}}]\n"
    )
    done = run([helm, "unittest", echo_chart], HELM_PLUGINS=str(tools.helm_unittest_plugin()))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 1 total" in done.stdout
