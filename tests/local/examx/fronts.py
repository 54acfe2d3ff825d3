"""Starting `python -m examx.web` and asking it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from harness import processes
from tests.local.examx.running import announced, wait_for


@dataclass
class Front:
    process: subprocess.Popen[bytes]
    url: str
    http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=8, retries=False, timeout=30))

    def post(self, task: str, body: Any = None, **headers: str) -> tuple[int, Mapping[str, str], dict[str, Any]]:
        """Status, headers, parsed body. A body of bytes goes as it is."""
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.http.request("POST", f"{self.url}/tasks/{task}", body=content, headers=sent)
        return answer.status, answer.headers, json.loads(answer.data)

    def get(self, path: str) -> tuple[int, str]:
        answer = self.http.request("GET", self.url + path)
        return answer.status, answer.data.decode()


@contextlib.contextmanager
def front(directory: Path, env: Mapping[str, str], *options: str) -> Iterator[Front]:
    """A front on a free port; ended with the block."""
    ready, log = directory / "front.json", directory / "front.log"
    command = [sys.executable, "-m", "examx.web", "--port", "0", "--ready-file", str(ready), *options]
    process = processes.start(command, log=log, env=env)
    try:
        wait_for(lambda: process.poll() is not None or announced(ready, process.pid), "the front", limit_seconds=60)
        assert process.poll() is None, log.read_text()
        yield Front(process, f"http://127.0.0.1:{json.loads(ready.read_text())['port']}")
    finally:
        processes.stop(process, grace_seconds=15)
