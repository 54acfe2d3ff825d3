"""A container's stop as the kubelet does it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from harness.runtime.local.process import Launcher, Place, Process

# What the kubelet leaves a container at least, when a preStop hook has used up the grace.
LEAST_GRACE_SECONDS = 2.0


@dataclass(frozen=True)
class PreStop:
    """A rendered preStop hook: a command, a sleep, or neither."""

    command: tuple[str, ...] | None = None
    sleep_seconds: float = 0.0


class Stop:
    """A stop under way: the preStop hook, then SIGTERM, then SIGKILL when the grace is over."""

    def __init__(
        self, hook: PreStop, *, place: Place, log: Path, launcher: Launcher, now: float, grace_seconds: float
    ) -> None:
        self._kill_at = now + grace_seconds
        self._hook_until = now + hook.sleep_seconds
        self._signalled = False
        self._hook = _started(hook, place, log, launcher)

    def hasten(self, now: float, grace_seconds: float) -> None:
        """Bring the SIGKILL forward; it is never put off."""
        self._kill_at = min(self._kill_at, now + grace_seconds)

    def tick(self, process: Process, now: float) -> None:
        """Do what is due."""
        if not self._signalled:
            if not self._hook_over(now) and now < self._kill_at:
                return
            self.cancel()
            self._signalled = True
            if now >= self._kill_at:
                self._kill_at = now + LEAST_GRACE_SECONDS
            process.signal(signal.SIGTERM)
        elif now >= self._kill_at:
            process.kill()

    def cancel(self) -> Process | None:
        """Kill a hook that still runs and return it, to be reaped by the caller."""
        if self._hook is not None:
            self._hook.kill()
        return self._hook

    def _hook_over(self, now: float) -> bool:
        return now >= self._hook_until and (self._hook is None or self._hook.poll() is not None)


def _started(hook: PreStop, place: Place, log: Path, launcher: Launcher) -> Process | None:
    """Start the hook's command; one that cannot start is skipped, as the kubelet goes on to SIGTERM then too."""
    if hook.command is None:
        return None
    try:
        return launcher.start(hook.command, place, log=log)
    except OSError as error:
        log.write_text(f"cannot start {hook.command[0]}: {error}\n", encoding="utf-8")
        return None
