"""The end of a release: every pod is asked to stop, and those that do not are killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from harness.runtime.local.parts import Parts
from harness.runtime.local.pod import Pod

POLL_SECONDS = 0.05
# After SIGKILL nothing needs longer than this to be reaped.
KILL_WAIT_SECONDS = 10.0


def stop_gracefully(parts: Parts, *, clock: Callable[[], float], grace_seconds: float) -> None:
    """Send SIGTERM to all pods and wait until they have ended, for so long."""
    now = clock()
    for job in parts.jobs:
        job.stop("uninstalled")
    for deployment in parts.deployments.values():
        deployment.desired = 0
    for pod in parts.all_pods:
        pod.terminate(now, grace_seconds=grace_seconds)
    while clock() < now + grace_seconds and not all(pod.finished for pod in parts.all_pods):
        time.sleep(POLL_SECONDS)
        _advance(parts.all_pods, clock())


def kill(pods: Sequence[Pod], *, clock: Callable[[], float]) -> None:
    """Send SIGKILL to what is left and wait until it is reaped."""
    for pod in pods:
        pod.kill()
    deadline = time.monotonic() + KILL_WAIT_SECONDS
    while time.monotonic() < deadline and not all(pod.finished for pod in pods):
        _advance(pods, clock())
        time.sleep(POLL_SECONDS / 5)


def _advance(pods: Sequence[Pod], now: float) -> None:
    for pod in pods:
        pod.tick(now)
