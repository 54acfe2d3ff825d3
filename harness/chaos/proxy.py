"""Toxiproxy between the workers and what they are connected to, so that connections can be cut."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from harness import direct, processes, tools
from harness.errors import HarnessError

TOXIPROXY = tools.Tool("toxiproxy", "github.com/Shopify/toxiproxy/v2/cmd/server")
START_SECONDS = 10.0
ANSWER_SECONDS = 3.0


@dataclass(frozen=True)
class Proxies:
    """A running Toxiproxy. Every method raises HarnessError when it does not answer."""

    port: int

    def add(self, name: str, upstream_port: int) -> int:
        """Listen for a service of this machine; return the port to connect to."""
        port = processes.free_port()
        body = {
            "name": name,
            "listen": f"{processes.LOOPBACK}:{port}",
            "upstream": f"{processes.LOOPBACK}:{upstream_port}",
            "enabled": True,
        }
        self._post("/proxies", body)
        return port

    def cut(self, name: str) -> None:
        """Close every connection through a proxy and take no new one."""
        self._post(f"/proxies/{name}", {"enabled": False})

    def restore(self, name: str) -> None:
        """Take connections again."""
        self._post(f"/proxies/{name}", {"enabled": True})

    def answers(self) -> bool:
        """Whether it serves."""
        try:
            self._call("GET", "/version")
        except HarnessError:
            return False
        return True

    def _post(self, path: str, body: object) -> None:
        self._call("POST", path, body)

    def _call(self, method: str, path: str, body: object = None) -> None:
        try:
            with direct.client(f"http://{processes.LOOPBACK}:{self.port}", timeout_seconds=ANSWER_SECONDS) as client:
                client.request(method, path, json=body).raise_for_status()
        except httpx.HTTPError as error:
            raise HarnessError(f"Toxiproxy does not do {method} {path}: {error}") from error


@contextlib.contextmanager
def run(directory: Path) -> Iterator[Proxies]:
    """Run Toxiproxy for the block, built first where it never was. Raises HarnessError."""
    directory.mkdir(parents=True, exist_ok=True)
    port = processes.free_port()
    command: list[str | Path] = [tools.build(TOXIPROXY), "-host", processes.LOOPBACK, "-port", str(port)]
    log = directory / "toxiproxy.log"
    process = processes.start(command, log=log)
    try:
        proxies = Proxies(port)
        processes.wait_until(proxies.answers, timeout_seconds=START_SECONDS, what=f"Toxiproxy ({log})", process=process)
        yield proxies
    finally:
        processes.stop(process, grace_seconds=2.0)
