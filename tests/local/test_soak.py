"""A small soak: killed in the middle, taken up again, and still every task is accounted for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness import tools
from harness.broker import node
from harness.chaos import proxy
from harness.services import postgresql, redis
from harness.soak import state
from harness.soak.ledger import Offer

TASKS = 1200
LIMIT_SECONDS = 100.0

pytestmark = pytest.mark.skipif(
    not (node.find_server() and postgresql.find_programs() and redis.find_server()),
    reason="no RabbitMQ, PostgreSQL or Redis of our own: make setup",
)


@pytest.fixture(scope="module", autouse=True)
def toxiproxy() -> Path:
    return tools.build(proxy.TOXIPROXY)


def command(reports: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "harness", "soak", "--reports", str(reports), "--json", *more]


@pytest.fixture
def reports(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "reports"
    for kept in (tmp_path / "reports").glob(f"*/{state.DATA}/postgresql"):
        postgresql.remove_home(kept)


def begin(reports: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command(reports, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def accepted(run: Path) -> int:
    file = run / state.OFFERS
    return file.read_bytes().count(Offer.ACCEPTED) if file.exists() else 0


def wait_for_accepted(reports: Path, count: int, process: subprocess.Popen[str]) -> Path:
    limit = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < limit:
        for run in reports.glob(f"*{state.PREFIX}*"):
            if accepted(run) >= count:
                return run
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError(f"never {count} accepted tasks")


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.full
@pytest.mark.timeout(300)  # most of it starts servers, twice
def test_a_soak_killed_in_the_middle_goes_on_and_accounts_for_every_task(reports: Path) -> None:
    first = begin(reports, "--tasks", str(TASKS), "--rate", "150", "--at-least", "0", "--fault", "kill-workers")
    run = wait_for_accepted(reports, TASKS // 3, first)
    started = family(first)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    _, alive = psutil.wait_procs(started, timeout=20)
    assert not alive, "something outlived the harness"
    assert accepted(run) < TASKS

    second = subprocess.run(
        command(reports, "--resume"), capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    assert second.returncode == 0, second.stdout[-3000:] + second.stderr[-3000:]
    verdict: dict[str, Any] = json.loads(second.stdout)
    counts = verdict["total"]
    assert verdict["parts"] == 2
    assert counts["accepted"] == counts["completed"] == TASKS
    assert counts["lost"] == 0
    assert verdict["again"]["row"] == verdict["again"]["file"] == 0
    assert verdict["again"]["mail"] <= verdict["mails_at_risk"]
    assert [row["fault"] for row in verdict["strikes"]] == ["kill-workers"]
    assert (run / "report.html").exists()
    assert not (run / state.DATA).exists()

    again = subprocess.run(command(reports, "--resume"), capture_output=True, text=True, timeout=30, check=False)
    assert again.returncode == 2
    assert "no soak there that could go on" in again.stderr
