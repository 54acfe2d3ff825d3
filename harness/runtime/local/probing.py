"""A probe's attempts as processes."""

from __future__ import annotations

from pathlib import Path

from harness.runtime.local.probes import ProbeSpec, ProbeState, observe, started
from harness.runtime.local.process import Exit, Launcher, Place, Process

MESSAGE_LIMIT = 300


class ProbeRun:
    """One probe of a running container and the attempt under way."""

    def __init__(self, spec: ProbeSpec, *, place: Place, log: Path, launcher: Launcher, now: float) -> None:
        self.spec = spec
        self.state: ProbeState = started(spec, now)
        self.cpu_seconds = 0.0
        self.message = ""
        self._place = place
        self._launcher = launcher
        self._process: Process | None = None
        self._begun_at = now
        self._answered = False
        self._log = log

    def tick(self, now: float) -> None:
        """Begin an attempt that is due, or take the answer of the one under way."""
        if self._process is None:
            if now >= self.state.next_at:
                self._begin(now)
            return
        ended = self._process.poll()
        if ended is not None:
            self._finish(ended)
        elif not self._answered and now - self._begun_at >= self.spec.timeout_seconds:
            self._process.kill()
            self._answer(False, f"timed out after {self.spec.timeout_seconds:g} s")

    def cancel(self) -> Process | None:
        """Kill the attempt under way and return it, to be reaped by the caller."""
        if self._process is not None:
            self._process.kill()
        return self._process

    def _begin(self, now: float) -> None:
        self._begun_at, self._answered = now, False
        self._log.unlink(missing_ok=True)
        try:
            self._process = self._launcher.start(self.spec.command, self._place, log=self._log)
        except OSError as error:
            self._answer(False, str(error))

    def _finish(self, ended: Exit) -> None:
        self.cpu_seconds += ended.cpu_seconds
        self._process = None
        if not self._answered:
            self._answer(ended.code == 0, "" if ended.code == 0 else f"{ended} {self._output()}".strip())

    def _answer(self, ok: bool, message: str) -> None:
        self._answered = True
        self.message = message[:MESSAGE_LIMIT]
        self.state = observe(self.spec, self.state, ok, begun_at=self._begun_at)

    def _output(self) -> str:
        return self._log.read_text(errors="replace").strip() if self._log.exists() else ""
