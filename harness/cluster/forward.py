"""A port of a Service in the cluster, on this machine's loopback."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from harness import processes
from harness.cluster.kubectl import Kubectl

START_SECONDS = 20.0


@contextlib.contextmanager
def port_forward(kubectl: Kubectl, *, namespace: str, target: str, port: int, directory: Path) -> Iterator[int]:
    """Yield the local port that leads to `target` (service/name or pod/name). It ends when that pod ends."""
    log = directory / f"forward-{target.replace('/', '-')}-{port}.log"
    log.unlink(missing_ok=True)
    command: list[str | Path] = [
        kubectl.program, "--kubeconfig", kubectl.kubeconfig, "--namespace", namespace,
        "port-forward", "--address", processes.LOOPBACK, target, f":{port}",
    ]  # fmt: skip
    process = processes.start(command, log=log)
    try:
        what = f"port {port} of {target} (log: {log})"
        processes.wait_until(lambda: _port(log) is not None, timeout_seconds=START_SECONDS, what=what, process=process)
        yield _port(log) or 0
    finally:
        processes.stop(process, grace_seconds=2.0)


def _port(log: Path) -> int | None:
    found = re.search(r"Forwarding from 127\.0\.0\.1:(\d+)", log.read_text()) if log.exists() else None
    return int(found[1]) if found else None
