"""A Job: one pod after the other until one succeeds or the back-off limit is reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.runtime.local.backoff import BASE_SECONDS
from harness.runtime.local.pod import Pod

DEFAULT_BACKOFF_LIMIT = 6
RETRY_LIMIT_SECONDS = 360.0


class JobController:
    """Runs a Job's pod to completion. `state` is running, succeeded or failed."""

    def __init__(
        self,
        name: str,
        spec: Mapping[str, Any],
        *,
        new_pod: Callable[[float], Pod],
        now: float,
        base_seconds: float = BASE_SECONDS,
    ) -> None:
        self.name = name
        self.state = "running"
        self.reason = ""
        self.pods: list[Pod] = []
        self._limit = DEFAULT_BACKOFF_LIMIT if spec.get("backoffLimit") is None else spec["backoffLimit"]
        deadline = spec.get("activeDeadlineSeconds")
        self._deadline = None if deadline is None else now + deadline
        self._new_pod = new_pod
        self._base_seconds = base_seconds
        self._retry_at = now

    @property
    def failures(self) -> int:
        """Attempts that failed: one a pod, or several where a pod restarts in place (restartPolicy OnFailure)."""
        return sum(max(container.failures for container in pod.containers) for pod in self.pods)

    def tick(self, now: float) -> None:
        """Advance the pod under way; start the next attempt when it is due."""
        for pod in self.pods:
            pod.tick(now)
        if self.state != "running":
            return
        latest = self.pods[-1] if self.pods else None
        if self._deadline is not None and now >= self._deadline:
            self._give_up("it exceeded its activeDeadlineSeconds")
        elif self.failures > self._limit:
            self._give_up(f"it failed {self.failures} times (backoffLimit {self._limit})")
        elif latest is None:
            self.pods.append(self._new_pod(now))
        elif latest.finished and not latest.failed:
            self.state = "succeeded"
        elif latest.finished:
            self._again(now)

    def stop(self, reason: str) -> None:
        """Kill it and count it as failed."""
        if self.state == "running":
            self._give_up(reason)

    def log_tail(self) -> str:
        """Return the last lines of the last attempt's output."""
        return self.pods[-1].log_tail() if self.pods else "(no output)"

    def _again(self, now: float) -> None:
        if self._retry_at <= self.pods[-1].created_at:
            pause = min(self._base_seconds * 2 ** (self.failures - 1), RETRY_LIMIT_SECONDS)
            self._retry_at = now + pause
        if now >= self._retry_at:
            self.pods.append(self._new_pod(now))

    def _give_up(self, reason: str) -> None:
        self.state, self.reason = "failed", reason
        for pod in self.pods:
            pod.kill()
