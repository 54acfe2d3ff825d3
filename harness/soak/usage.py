"""How much CPU the parts of a run use."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence

import psutil

PARTS: Mapping[str, str] = {
    "rabbitmq": "RabbitMQ",
    "beam": "RabbitMQ",
    "postgres": "PostgreSQL",
    "redis": "Redis",
    "valkey": "Redis",
    "toxiproxy": "proxy",
    "examx.standins": "stand-in services",
    "harness.soak.publisher": "publisher",
    "celery": "workers",
}
"""What a command line holds, and whose process it then is; the first that fits."""
OTHER, HARNESS = "other", "harness"


def part_of(command: Sequence[str]) -> str:
    """Return whose process has this command line."""
    text = " ".join(command)
    return next((part for word, part in PARTS.items() if word in text), OTHER)


class CpuMeter:
    """Adds up the CPU seconds of this process and all below it, by part. What a process uses after its last look is
    not seen."""

    def __init__(self) -> None:
        self._parts: dict[tuple[int, float], str] = {}  # by process id and start
        self._seen: dict[tuple[int, float], float] = {}
        self._used: defaultdict[str, float] = defaultdict(float)

    def sample(self) -> dict[str, float]:
        """Look at the process table; return the seconds so far."""
        own = psutil.Process(os.getpid())
        self._add(own, HARNESS)
        for child in own.children():
            part = self._part(child)
            self._add(child, part)
            for below in _below(child):
                self._add(below, part)
        return {part: round(seconds, 1) for part, seconds in sorted(self._used.items())}

    def _part(self, process: psutil.Process) -> str:
        key = (process.pid, process.create_time())
        try:
            return self._parts.setdefault(key, part_of(process.cmdline()))
        except psutil.Error:
            return OTHER

    def _add(self, process: psutil.Process, part: str) -> None:
        try:
            key, times = (process.pid, process.create_time()), process.cpu_times()
        except psutil.Error:  # it ended meanwhile
            return
        seconds = times.user + times.system
        self._used[part] += max(0.0, seconds - self._seen.get(key, 0.0))
        self._seen[key] = seconds


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []
