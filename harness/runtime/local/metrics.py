"""CPU and memory of containers: what metrics-server would report, from this machine's process table.

CPU is the time of every process of the container's session, of the children they have waited for, and of the exec
probes (on a cluster they run in the container too). Memory is the sum of proportional set sizes: resident memory with
shared pages divided among those who share them, so that pages that prefork children have in common count once, as in a
cgroup. Where the kernel does not tell, it is the sum of resident sets, an upper bound.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

RESOLUTION_SECONDS = 15.0
# metrics-server counts a container's first sample from its start, if it had run for this long by then.
FRESH_SECONDS = 10.0

PROC = Path("/proc")
HAS_PROC = (PROC / "self" / "stat").exists()

# Positions in /proc/PID/stat after the command's closing parenthesis (man 5 proc, field 3 is position 0).
_SESSION, _USER, _SYSTEM, _CHILD_USER, _CHILD_SYSTEM, _RESIDENT = 3, 11, 12, 13, 14, 21


@dataclass(frozen=True)
class Consumption:
    """What a container has used: CPU since its start, memory now."""

    cpu_seconds: float
    memory_bytes: int
    pids: tuple[int, ...] = ()  # its processes


@dataclass(frozen=True)
class Usage:
    """A container's use over a window that ended at `at`."""

    at: float
    window_seconds: float
    cpu_cores: float
    memory_bytes: int


class Meter:
    """Turns cumulative samples of one container run into usage; pure. The first sample alone says nothing."""

    def __init__(self, started_at: float, *, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._started_at = started_at
        self._fresh_seconds = fresh_seconds
        self._last: tuple[float, float] | None = None
        self.usage: Usage | None = None

    def sample(self, now: float, consumption: Consumption) -> None:
        """Take one sample; a container younger than `fresh_seconds` is left for the next one."""
        before = self._last or (self._started_at, 0.0)
        fresh = self._last is None and now - self._started_at < self._fresh_seconds
        window = now - before[0]
        self._last = (now, consumption.cpu_seconds)
        if fresh or window <= 0:
            return
        cores = max(0.0, consumption.cpu_seconds - before[1]) / window
        self.usage = Usage(now, window, cores, consumption.memory_bytes)


def sessions(pids: Iterable[int]) -> dict[int, Consumption]:
    """Return what the session led by each of these processes has used."""
    wanted = set(pids)
    if not wanted:
        return {}
    return _from_proc(wanted) if HAS_PROC else _from_psutil(wanted)


def parse_stat(text: str) -> tuple[int, int, int]:
    """Return (session, clock ticks of it and its waited-for children, resident pages) of one /proc/PID/stat."""
    fields = text[text.rindex(")") + 2 :].split()
    ticks = sum(int(fields[place]) for place in (_USER, _SYSTEM, _CHILD_USER, _CHILD_SYSTEM))
    return int(fields[_SESSION]), ticks, int(fields[_RESIDENT])


def parse_rollup(text: str) -> int | None:
    """Return the proportional set size in bytes of one /proc/PID/smaps_rollup, None where there is none."""
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return None


def _from_proc(wanted: set[int]) -> dict[int, Consumption]:
    ticks_per_second = os.sysconf("SC_CLK_TCK")
    ticks: dict[int, int] = dict.fromkeys(wanted, 0)
    memory: dict[int, int] = dict.fromkeys(wanted, 0)
    members: dict[int, list[int]] = {pid: [] for pid in wanted}
    for name in os.listdir(PROC):  # noqa: PTH208  (called often: names are enough)
        if not name.isdigit():
            continue
        try:
            session, used, resident = parse_stat((PROC / name / "stat").read_text())
        except (OSError, ValueError):  # it ended meanwhile
            continue
        if session in wanted:
            ticks[session] += used
            memory[session] += _memory_bytes(PROC / name, resident)
            members[session].append(int(name))
    return {pid: Consumption(ticks[pid] / ticks_per_second, memory[pid], tuple(members[pid])) for pid in wanted}


def _memory_bytes(process: Path, resident_pages: int) -> int:
    try:
        proportional = parse_rollup((process / "smaps_rollup").read_text())
    except OSError:  # an old kernel, another user's process, or it ended
        proportional = None
    return resident_pages * os.sysconf("SC_PAGE_SIZE") if proportional is None else proportional


def _from_psutil(wanted: set[int]) -> dict[int, Consumption]:
    return {pid: _tree(pid) for pid in wanted}


def _tree(pid: int) -> Consumption:
    cpu, memory = 0.0, 0
    try:
        root = psutil.Process(pid)
        members = [root, *root.children(recursive=True)]
    except psutil.Error:
        return Consumption(0.0, 0)
    for process in members:
        try:
            times = process.cpu_times()
            memory += process.memory_info().rss
        except psutil.Error:
            continue
        cpu += times.user + times.system + getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return Consumption(cpu, memory)
