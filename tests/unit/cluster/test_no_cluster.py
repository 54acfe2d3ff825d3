"""Where no cluster can be had `make e2e` says so and fails: it must not look like tests that passed or were skipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("processes", ["0", "2"])
def test_without_a_cluster_the_end_to_end_run_says_so_once_and_fails(processes: str, tmp_path: Path):
    # Neither docker nor podman is on this PATH, and nothing is made from packages.
    environment = {"PATH": str(tmp_path), "CELERY_WORKERS_WAY": "registry", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", processes, "--cluster", "tests/cluster/test_2_tasks.py"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.count("NO CLUSTER CAN BE HAD HERE, no end-to-end test ran: --way registry needs docker") == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "passed" not in done.stdout
