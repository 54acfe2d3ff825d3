"""Processes that are noticed without waiting, take their whole group along, and cannot outlive the harness."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import processes

WATCHDOG = Path(__file__).with_name("watchdog.py")
UNKNOWN_CODE = 255
WATCHDOG_WAIT_SECONDS = 10.0
CAN_PEEK = hasattr(os, "waitid")  # macOS has it from Python 3.13


@dataclass(frozen=True)
class Exit:
    """How a process ended: its code (negative: the signal) and the CPU time of it and the children it waited for."""

    code: int
    cpu_seconds: float

    def __str__(self) -> str:
        """Return the code, or the signal's name."""
        if self.code >= 0:
            return f"exit code {self.code}"
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-self.code).name}"
        return f"killed by signal {-self.code}"


@dataclass(frozen=True)
class Place:
    """Where a container's processes run: its environment and working directory."""

    environment: Mapping[str, str]
    directory: Path


class Launcher:
    """Starts processes in groups of their own and tells the watchdog about each.

    Call from one thread that lives as long as the processes should (the kernel ends them with that thread).
    """

    def __init__(self) -> None:
        self._watchdog: subprocess.Popen[bytes] | None = None

    def start(self, arguments: Sequence[str], place: Place, *, log: Path) -> Process:
        """Start a process, its output appended to `log`. Raises OSError when it cannot be started."""
        self._watch()
        popen = processes.start(arguments, log=log, env=place.environment, cwd=place.directory)
        self._tell(f"+{popen.pid}\n")
        return Process(popen, self)

    def forget(self, group: int) -> None:
        """Tell the watchdog that a group has been ended."""
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """End the watchdog: it kills what is still on its list, which is nothing after an orderly stop."""
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None and watchdog.stdin is not None:
            with contextlib.suppress(OSError):
                watchdog.stdin.close()
            try:
                watchdog.wait(timeout=WATCHDOG_WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                watchdog.kill()
                watchdog.wait()

    def _watch(self) -> None:
        if self._watchdog is None:
            self._watchdog = subprocess.Popen(
                [sys.executable, "-I", "-S", str(WATCHDOG)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
            )

    def _tell(self, line: str) -> None:
        if self._watchdog is not None and self._watchdog.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # somebody killed the watchdog: pdeathsig is what is left
                self._watchdog.stdin.write(line.encode())


class Process:
    """One started process and its group."""

    def __init__(self, popen: subprocess.Popen[bytes], launcher: Launcher) -> None:
        self._popen = popen
        self._launcher = launcher
        self._exit: Exit | None = None

    @property
    def pid(self) -> int:
        """The main process's id, which is its group's and its session's too."""
        return self._popen.pid

    def poll(self) -> Exit | None:
        """Return how the main process ended, or None while it runs. What it left in its group is killed then."""
        if self._exit is not None:
            return self._exit
        if CAN_PEEK:
            if not self._is_zombie():
                return None
            self._kill_group()  # while the zombie holds the group's number, it cannot be anybody else's
        self._exit = self._reap()
        if self._exit is not None:
            if not CAN_PEEK:
                self._kill_group()
            self._launcher.forget(self.pid)
        return self._exit

    def signal(self, number: int) -> None:
        """Signal the main process, as the kubelet does, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the whole group."""
        if self._exit is None:
            self._kill_group()

    def _is_zombie(self) -> bool:
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def _reap(self) -> Exit | None:
        try:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        except ChildProcessError:  # somebody else waited for it
            self._popen.returncode = UNKNOWN_CODE
            return Exit(UNKNOWN_CODE, 0.0)
        if pid == 0:
            return None
        code = os.waitstatus_to_exitcode(status)
        self._popen.returncode = code
        return Exit(code, usage.ru_utime + usage.ru_stime)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
