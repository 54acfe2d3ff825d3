"""Starting the stand-ins and talking to them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

ROOT = Path(__file__).parents[3]
START_SECONDS = 30.0


def wait_for(condition: Callable[[], Any], what: str, *, limit_seconds: float = START_SECONDS) -> None:
    limit = time.monotonic() + limit_seconds
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError(f"waited {limit_seconds:.0f} s for {what}")
        time.sleep(0.02)


@dataclass
class Standins:
    """A running `python -m examx.standins`."""

    process: subprocess.Popen[str]
    directory: Path
    smtp_port: int
    http_port: int
    http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=4, retries=False))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def environment(self) -> dict[str, str]:
        return {"EXAMX_SMTP_URL": f"smtp://127.0.0.1:{self.smtp_port}", "EXAMX_SERVICES_URL": self.url}

    def set_profile(self, **services: Any) -> None:
        answer = self.http.request("PUT", f"{self.url}/_profile", json=services)
        assert answer.status == 200, answer.data

    def journal(self) -> list[dict[str, Any]]:
        """Everything recorded, read from the file."""
        path = self.directory / "deliveries.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def statuses(self, task_id: str) -> list[tuple[str, int]]:
        return [(entry["kind"], entry["status"]) for entry in self.journal() if entry["id"] == task_id]

    def counts(self) -> Counter[str]:
        return Counter(entry["id"] for entry in self.journal())

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


def command(directory: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "examx.standins", "--directory", str(directory), *options]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EXAMX_", "CELERY_"))}
    return kept | {"PYTHONPATH": str(ROOT)} | more


def announced(ready: Path, pid: int) -> bool:
    """Whether the ready file is there and of this process, not of one that was killed before."""
    try:
        return bool(json.loads(ready.read_text())["pid"] == pid)
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def standins(directory: Path, *, profile: dict[str, Any] | None = None) -> Iterator[Standins]:
    """The stand-ins on free ports; ended with the block."""
    directory.mkdir(parents=True, exist_ok=True)
    ready, rules = directory / "ready.json", directory / "profile.json"
    rules.write_text(json.dumps(profile or {}))
    ports = ["--smtp-port", "0", "--http-port", "0"]
    process = subprocess.Popen(
        command(directory, *ports, "--profile", str(rules), "--ready-file", str(ready)),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: process.poll() is not None or announced(ready, process.pid), "the stand-ins' ready file")
        document = json.loads(ready.read_text())
        running = Standins(process, directory, document["smtp_port"], document["http_port"])
        yield running
        running.http.clear()
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        assert process.stderr is not None
        process.stderr.close()
