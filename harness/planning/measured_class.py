"""One class in a calibration run, and what it shows. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from harness.planning.figures import PoolFigures, assumed_pool, stated_shares
from harness.planning.waiting import waits
from harness.spike.result import Result
from harness.spike.scenario import Scenario, TaskMix

Span = tuple[float, float]
"""From a second of a run until before another."""
IDLE_PHASE = "idle"
ALONE = "-alone"
GROWTH = "-growth"
METRICS_WINDOW_SECONDS = 15.0
"""CPU figures are means over such a window, shown until the next: their sum over time lags by one."""
FRESH_SECONDS = 3.0
LEAST_SHOWN_CPU_SECONDS = 0.5
"""Below this the CPU time of tasks drowns in that of probes and heartbeats."""
LEAST_BUSY_SHARE = 0.3
"""A worker's start is mostly importing, so mostly CPU time."""


@dataclass(frozen=True)
class MeasuredClass:
    """One class in a calibration run. None stands for what the run does not show."""

    result: Result
    scenario: Scenario
    name: str
    settings: Mapping[str, Any]
    tasks: Sequence[TaskMix]
    working_at: Mapping[str, float]
    run_seconds: Mapping[str, float]

    @property
    def pool(self) -> str:
        """The kind of its workers."""
        return str(self.settings["pool"])

    @property
    def default(self) -> PoolFigures:
        """What is assumed of them."""
        return assumed_pool(self.pool)

    def boots(self, since: float = -math.inf) -> list[tuple[float, float]]:
        """Return, of each pod made since then, the time from creation until it took tasks and until it was ready."""
        created, ready = self._first("created"), self._first("ready")
        return [
            (min(self.working_at.get(pod, ready[pod]), ready[pod]) - at, ready[pod] - at)
            for pod, at in created.items()
            if pod in ready and at >= since
        ]

    def overhead_seconds(self, own_cpu_seconds: float) -> float | None:
        """Return how long a run of a task takes beyond its waiting and its CPU time.

        Where the workers' logs say how long runs took; else the median time to effect beyond the service time, of tasks
        that met a free slot. Most of those are the first to use a connection, which others need not wait for.
        """
        name, known = self.tasks[0].task if len(self.tasks) == 1 else "", waits(self.scenario)
        if name in self.run_seconds and name in known:
            return max(self.run_seconds[name] - known[name] - own_cpu_seconds, 0.0)
        latency = (self.result.by_phase.get(f"{self.name}{ALONE}") or {}).get("p50")
        if latency is None or len(self.tasks) != 1:
            return None
        return max(latency - self.tasks[0].service_seconds, 0.0)

    def idle_cores(self) -> float | None:
        """Return what one pod uses while there is next to nothing to do."""
        pods, cores = self._at(self.idle_end(), self._running()), self.cores_at_rest()
        return None if not pods or cores is None else cores / pods

    def cores_at_rest(self) -> float | None:
        """Return what all its pods use together while there is next to nothing to do."""
        end = self.idle_end()
        return None if end < 2 * METRICS_WINDOW_SECONDS else self._at(end, self._cores())

    def start_cpu_seconds(self) -> float | None:
        """Return the CPU time of one pod's start: all used up to the idle phase, less idling.

        Metrics begin with a container's first sample and leave out what was before, if that came early: a start that
        used little of its time was not seen.
        """
        first = [at for at in self._first("created").values() if at < 0]
        end = self.idle_end()
        if not first or not end:
            return None
        used = sum(self._between(self._cores(), min(first), end)) / len(first)
        found = used - self._idling() * (end - METRICS_WINDOW_SECONDS - min(first))
        start = min((start for start, _ in self.boots()), default=0.0)
        return found if found >= LEAST_BUSY_SHARE * start else None

    def own_cpu_seconds(self) -> float | None:
        """Return the CPU time that the workers used for a task of the phase of the class alone, beside idling."""
        span = self.phase(ALONE)
        if span is None or len(self.tasks) != 1:
            return None
        done = self.result.by_phase.get(f"{self.name}{ALONE}", {}).get("completed") or 0
        begin, end = span[0], self._seen_until(span[1] + self.tasks[0].service_seconds)
        cores = self._between(self._cores(), begin, end)
        pods = self._between(self._running(), begin, end)
        used = sum(cores) - self._idling() * sum(pods)
        return used / done if done and used >= LEAST_SHOWN_CPU_SECONDS else None

    def cpu_factor(self) -> float | None:
        """Return what the workers used for a task in times of what is stated, None where the run does not show it."""
        own = self.own_cpu_seconds()
        if own is None:
            return None
        stated, _ = stated_shares(self.tasks[0].cpu_seconds, self.pool)
        return own / stated if stated > 0.0 else None

    def phase(self, suffix: str) -> Span | None:
        """Return from when to when the class's phase of that name lasts, None where there is none."""
        for phase, start in zip(self.scenario.phases, self.scenario.phase_starts, strict=True):
            if phase.name == self.name + suffix:
                return start, start + phase.seconds
        return None

    def _idling(self) -> float:
        idle = self.idle_cores()
        return self.default.idle_cores if idle is None else idle

    def _seen_until(self, second: float) -> float:
        """Return until when figures show what was used up to a moment: means are shown until the next is taken."""
        looked = self._next_look(second)
        return second + 2 * METRICS_WINDOW_SECONDS if looked is None else looked + METRICS_WINDOW_SECONDS

    def _next_look(self, second: float) -> float | None:
        """Return when metrics were next taken: their figures change then."""
        pairs = [
            (at, value)
            for at, value in zip(self.result.timeline.seconds, self._cores(), strict=False)
            if value is not None
        ]
        changes = (at for (_, before), (at, value) in pairwise(pairs) if value != before and at > second)
        return next(changes, None)

    def memory_bytes(self) -> float | None:
        """Return one pod's memory at rest."""
        end = self.idle_end()
        pods, memory = self._at(end, self._running()), self._at(end, self._memory())
        return None if not pods or memory is None else memory / pods

    def memory_bytes_per_task(self) -> float | None:
        """Return what each task in work adds, at the peak before a pod is added."""
        at_rest, pods = self.memory_bytes(), self._at(self.idle_end(), self._running())
        deployment, events = self.settings["deployment"], self.result.scale_events
        own = (event["t"] for event in events if event["t"] >= 0 and event["deployment"] == deployment)
        until = min(own, default=self.result.duration_seconds)
        most = self._between(self._memory(), self.idle_end(), until)
        if at_rest is None or not pods or not most:
            return None
        return max(max(most) / pods - at_rest, 0.0) / int(self.settings["concurrency"])

    def idle_end(self) -> float:
        """Return when the idle phase ends, 0 where there is none; it is the first."""
        first = self.scenario.phases[0]
        return first.seconds if first.name == IDLE_PHASE else 0.0

    def _first(self, kind: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for event in self._own(self.result.events):
            if event["kind"] == kind:
                found.setdefault(event["subject"], event["t"])
        return found

    def _own(self, events: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
        return (event for event in events if str(event["subject"]).startswith(f"{self.settings['deployment']}-"))

    def _cores(self) -> Sequence[float | None]:
        return self.result.timeline.cpu_cores.get(self.name, ())

    def _memory(self) -> Sequence[float | None]:
        return self.result.timeline.memory_bytes.get(self.name, ())

    def _running(self) -> Sequence[float | None]:
        return self.result.timeline.replicas.get(str(self.settings["deployment"]), {}).get("running", ())

    def _at(self, second: float, values: Sequence[float | None]) -> float | None:
        """Return the last value before a moment."""
        known = self._between(values, second - FRESH_SECONDS, second)
        return known[-1] if known else None

    def _between(self, values: Sequence[float | None], start: float, end: float) -> list[float]:
        return self.result.timeline.known(values, start, end)
