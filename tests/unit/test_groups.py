"""Tests of one group run in one process, so that they share what they set up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = """\
import pytest

pytestmark = pytest.mark.xdist_group("of a kind")


@pytest.mark.parametrize("number", range(6))
def test_where(number, worker_id, request):
    with (request.config.rootpath / "where.txt").open("a") as file:
        file.write(f"{worker_id}\\n")
"""


def test_a_group_stays_in_one_process(tmp_path: Path) -> None:
    (tmp_path / "test_where.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup", "-p", "xdist.plugin"]
    command += ["--rootdir", str(tmp_path), "-c", str(tmp_path / "none.ini"), str(tmp_path)]
    (tmp_path / "none.ini").write_text("[pytest]\n")
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    where = (tmp_path / "where.txt").read_text().split()
    assert len(where) == 6
    assert len(set(where)) == 1
