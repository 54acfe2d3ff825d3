"""A server that processes share is there for as long as one of them is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness import processes

USER = """
import sys, time
from pathlib import Path
from tests.local import keeper
with keeper.postgres(Path(sys.argv[1])) as server:
    print(server.pid, flush=True)
    time.sleep(100)
"""


@pytest.fixture
def users(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes that hold on to one PostgreSQL."""
    environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    command = [sys.executable, "-c", USER, str(tmp_path)]
    root = Path(__file__).parents[2]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=root) for _ in range(2)
    ]
    yield started
    for process in started:
        process.kill()
        process.communicate(timeout=10)


def test_it_is_started_once_and_ends_with_the_last_even_one_that_is_killed(users: list[subprocess.Popen[str]]) -> None:
    told = [process.stdout.readline() for process in users if process.stdout]
    assert told[0] == told[1]
    server = psutil.Process(int(told[0]))
    first, last = users
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    with pytest.raises(psutil.TimeoutExpired):
        server.wait(1)
    last.send_signal(signal.SIGKILL)
    processes.wait_until(lambda: not server.is_running(), timeout_seconds=20, what="the end of the server")
