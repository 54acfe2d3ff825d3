"""One container as one process: started, probed, restarted and stopped as the kubelet does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.runtime.local.backoff import BackOff
from harness.runtime.local.probes import ProbeSpec, at_once
from harness.runtime.local.probing import ProbeRun
from harness.runtime.local.process import Exit, Launcher, Place, Process
from harness.runtime.local.stopping import PreStop, Stop

NOT_FOUND_CODE = 127
NO_HOOK = PreStop()

# What happened (a word) and the details.
Report = Callable[[str, str], None]


@dataclass(frozen=True)
class ContainerSpec:
    """A container ready to run: everything expanded, all paths this machine's."""

    name: str
    arguments: tuple[str, ...]
    place: Place
    log: Path
    grace_seconds: float
    probes: tuple[ProbeSpec, ...] = ()
    pre_stop: PreStop = NO_HOOK
    restarts_after_success: bool = True
    restarts_after_failure: bool = True

    def side_log(self, purpose: str) -> Path:
        """Return where a probe's or a hook's output goes."""
        return self.log.with_name(f"{self.name}-{purpose}.log")


class Container:
    """The life of one container: waiting, running, stopping, ended; again and again while it may restart."""

    def __init__(self, spec: ContainerSpec, *, launcher: Launcher, report: Report, back_off: BackOff) -> None:
        self.spec = spec
        self.restarts = 0
        self.failures = 0
        self.last_exit: Exit | None = None
        self.started_at: float | None = None
        self._launcher = launcher
        self._report = report
        self._back_off = back_off
        self._process: Process | None = None
        self._stop: Stop | None = None
        self._probes: dict[str, ProbeRun] = {}
        self._dying: list[Process] = []
        self._start_at: float | None = None
        self._gone = False

    def start(self, now: float) -> None:
        """Start the process for the first time."""
        self._launch(now)

    @property
    def pid(self) -> int | None:
        """The running process's id."""
        return None if self._process is None else self._process.pid

    @property
    def finished(self) -> bool:
        """True once nothing runs and nothing will start again."""
        return self._process is None and self._start_at is None and not self._dying

    @property
    def probe_cpu_seconds(self) -> float:
        """CPU time of this run's probes, which a cluster counts as the container's own."""
        return sum(probe.cpu_seconds for probe in self._probes.values())

    @property
    def ready(self) -> bool:
        """Running, started by its startup probe, and passing its readiness probe."""
        if self._process is None or self._stop is not None or not self._started_up():
            return False
        readiness = self._probes.get("readiness")
        return readiness is None or bool(readiness.state.passing)

    def waiting_for(self) -> str:
        """Return in words why the container is not ready."""
        if self._process is None:
            return f"not running ({self.last_exit})" if self.last_exit else "not started"
        startup = "readiness" if self._started_up() else "startup"
        probe = self._probes.get(startup)
        return f"{startup} probe has not passed" + (f" ({probe.message})" if probe and probe.message else "")

    def tick(self, now: float) -> None:
        """Notice an end, carry a stop on, restart what is due, and run the probes."""
        self._dying = [process for process in self._dying if process.poll() is None]
        if self._process is None:
            if self._start_at is not None and now >= self._start_at:
                self._restart(now)
            return
        ended = self._process.poll()
        if ended is not None:
            self._ended(ended, now)
        elif self._stop is not None:
            self._stop.tick(self._process, now)
        else:
            self._probe(now)

    def terminate(self, now: float, *, grace_seconds: float) -> None:
        """Stop for good: preStop, SIGTERM, and SIGKILL when the grace is over. A stop under way is only hastened."""
        self._gone, self._start_at = True, None
        self._begin_stop(now, grace_seconds)

    def signal(self, number: int) -> None:
        """Signal the main process."""
        if self._process is not None:
            self._process.signal(number)

    def kill(self) -> None:
        """Kill everything of this container now; it will not start again."""
        self._gone, self._start_at = True, None
        self._cancel_helpers()
        if self._process is not None:
            self._process.kill()

    def _launch(self, now: float) -> None:
        self._start_at = None
        self._stop = None
        self.started_at = now
        try:
            self._process = self._launcher.start(self.spec.arguments, self.spec.place, log=self.spec.log)
        except OSError as error:
            with self.spec.log.open("a", encoding="utf-8") as log:
                log.write(f"cannot start {self.spec.arguments[0]}: {error}\n")
            self._ended(Exit(NOT_FOUND_CODE, 0.0), now)
            return
        self._probes = {probe.kind: self._probe_run(probe, now) for probe in self.spec.probes}

    def _probe_run(self, probe: ProbeSpec, now: float) -> ProbeRun:
        log = self.spec.side_log(probe.kind)
        return ProbeRun(probe, place=self.spec.place, log=log, launcher=self._launcher, now=now)

    def _restart(self, now: float) -> None:
        self.restarts += 1
        self._back_off = self._back_off.restarted(now)
        self._report("restarted", f"{self.spec.name} restarted, {self.restarts} so far, after {self.last_exit}")
        self._launch(now)

    def _ended(self, ended: Exit, now: float) -> None:
        self.last_exit = ended
        self.failures += ended.code != 0
        self._process = None
        self._cancel_helpers()
        again = self.spec.restarts_after_success if ended.code == 0 else self.spec.restarts_after_failure
        if self._gone or not again:
            self._report("stopped" if self._gone else "ended", f"{self.spec.name}: {ended}")
            return
        self._start_at = self._back_off.restart_at(now)
        pause = self._start_at - now
        self._report("exited", f"{self.spec.name}: {ended}" + (f", back-off {pause:g} s" if pause else ""))

    def _probe(self, now: float) -> None:
        if not self._started_up():
            self._probe_startup(now)
            return
        for kind in ("liveness", "readiness"):
            if kind in self._probes:
                self._probes[kind].tick(now)
        self._restart_if_failed("liveness", now)

    def _probe_startup(self, now: float) -> None:
        self._probes["startup"].tick(now)
        if self._started_up():
            self._report("started", f"{self.spec.name}: startup probe passed")
            for kind in ("liveness", "readiness"):
                if kind in self._probes:
                    self._probes[kind].state = at_once(self._probes[kind].state, now)
        self._restart_if_failed("startup", now)

    def _started_up(self) -> bool:
        startup = self._probes.get("startup")
        return startup is None or bool(startup.state.passing)

    def _restart_if_failed(self, kind: str, now: float) -> None:
        probe = self._probes.get(kind)
        if probe is None or probe.state.passing is not False:
            return
        self._report("unhealthy", f"{self.spec.name}: {kind} probe failed: {probe.message}; restarting")
        grace = self.spec.grace_seconds if probe.spec.grace_seconds is None else probe.spec.grace_seconds
        self._begin_stop(now, grace)

    def _begin_stop(self, now: float, grace_seconds: float) -> None:
        if self._process is None:
            return
        if self._stop is not None:
            self._stop.hasten(now, grace_seconds)
            return
        self._cancel_helpers()
        self._stop = Stop(
            self.spec.pre_stop,
            place=self.spec.place,
            log=self.spec.side_log("prestop"),
            launcher=self._launcher,
            now=now,
            grace_seconds=grace_seconds,
        )
        self._stop.tick(self._process, now)

    def _cancel_helpers(self) -> None:
        """Kill probes and hooks under way; they are reaped as they end."""
        killed = [probe.cancel() for probe in self._probes.values()]
        if self._stop is not None:
            killed.append(self._stop.cancel())
        self._dying += [process for process in killed if process is not None]
        self._probes = {}
