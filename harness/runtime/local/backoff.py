"""The kubelet's pause before a container that ended is started again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

BASE_SECONDS = 10.0
LIMIT_SECONDS = 300.0


@dataclass(frozen=True)
class BackOff:
    """The first restart is immediate; each further one waits twice as long, up to the limit.

    A container that ran for twice the limit starts from scratch (client-go's flowcontrol.Backoff, as kubelet uses it).
    """

    base_seconds: float = BASE_SECONDS
    limit_seconds: float = LIMIT_SECONDS
    wait_seconds: float | None = None
    updated_at: float = 0.0

    def restart_at(self, ended_at: float) -> float:
        """Return when a container that ended may start again."""
        if self.wait_seconds is None or self._expired(ended_at):
            return ended_at
        return ended_at + self.wait_seconds

    def restarted(self, now: float) -> BackOff:
        """Return the state after a restart."""
        fresh = self.wait_seconds is None or self._expired(now)
        wait = self.base_seconds if fresh else min(2 * (self.wait_seconds or 0.0), self.limit_seconds)
        return BackOff(self.base_seconds, self.limit_seconds, wait, now)

    def _expired(self, now: float) -> bool:
        return now - self.updated_at > 2 * self.limit_seconds
