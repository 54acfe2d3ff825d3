"""One class in a calibration run, and what it shows. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from harness.planning.figures import CostAtRates, PoolFigures, assumed_pool, stated_shares
from harness.planning.waiting import waits
from harness.runtime.base import CUT_OFF_SECONDS, LOOK_SECONDS
from harness.spike.result import Result
from harness.spike.scenario import Scenario, TaskMix
from harness.spike.timeline import Window

Span = tuple[float, float]
"""From a second of a run until before another."""
LOCAL = "local"
SEEN_LATE_SECONDS = LOOK_SECONDS / 2
"""What happened in a cluster is seen so much later on average."""
IDLE_PHASE = "idle"
ALONE = "-alone"
FEW_AT_A_TIME = "-few"
GROWTH = "-growth"
CROWD = "-crowd"
STRAY = 5
"""Tasks a second that may end beside a crowd, or behind it."""
LEAST_CROWD = 1.5
"""How many times as many a second a crowd must be for a cost to be read from the difference."""
FRESH_SECONDS = 3.0
LEAST_SHOWN_CPU_SECONDS = 0.5
"""Below this the CPU time of tasks drowns in that of probes and heartbeats."""
LEAST_BUSY_SHARE = 0.3
"""A worker's start is mostly importing, so mostly CPU time."""


def typical_rate(a_second: Sequence[float]) -> float:
    """Return how many others a second the events of a time meet on average; each second counts by what is in it."""
    total = sum(a_second)
    return sum(count * count for count in a_second) / total if total else 0.0


def span_of(scenario: Scenario, name: str) -> Span | None:
    """Return from when to when the phase of that name lasts, None where there is none."""
    for phase, start in zip(scenario.phases, scenario.phase_starts, strict=True):
        if phase.name == name:
            return start, start + phase.seconds
    return None


Shown = tuple[float, float]
"""A rate, and what a task costs at it in times of what it costs at a steady one."""


def cost_at_rates(steady: float, crowd: Shown, few: Shown | None = None) -> CostAtRates | None:
    """Return how a cost falls; None where the crowd was none, or did not come cheaper.

    More tasks do not cost less in all, nor do fewer cost less each: what a measurement says beyond that is noise.
    """
    rate, share = crowd
    if not 0.0 < steady * LEAST_CROWD <= rate or not 0.0 < share < 1.0:
        return None
    fewer, more = (steady, 1.0) if few is None or not 0.0 < few[0] < steady else few
    values = steady, rate, max(share, steady / rate), fewer, min(max(more, 1.0), steady / fewer)
    return CostAtRates(*(round(value, 5) for value in values))


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
    turn_seconds: float | None = None

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
        late = 0.0 if self._own_clock else SEEN_LATE_SECONDS
        return [
            (min(self.working_at.get(pod, ready[pod] - late), ready[pod] - late) - (at - late), ready[pod] - at)
            for pod, at in created.items()
            if pod in ready and at >= since
        ]

    def start(self) -> tuple[float, float] | None:
        """Return the time from a pod's creation until it takes tasks and until it is ready.

        Others who want the machine only ever lengthen a start, so of processes the shortest is nearest to one alone. A
        node has more to do for a pod, and an API server tells of it once a second: there the middle one counts.
        """
        starts = self.boots() if self._own_clock else self.boots(since=0.0) or self.boots()
        if not starts:
            return None
        typical = min if self._own_clock else median
        return typical(start for start, _ in starts), typical(ready for _, ready in starts)

    @property
    def one_cores(self) -> float:
        """What a start, or one task, can use: a core, or the pod's limit where that is enforced."""
        limit = None if self._own_clock else self.settings.get("cpu_limit_cores")
        return 1.0 if limit is None else min(float(limit), 1.0)

    @property
    def _own_clock(self) -> bool:
        """Whether the workers are processes of the run: it knows at once what becomes of them."""
        return self.result.runtime == LOCAL

    def overhead_seconds(self, own_cpu_seconds: float) -> float | None:
        """Return how long a task holds its slot beyond its waiting and its CPU time, for which a limit makes it wait.

        Where the workers' logs say how long runs took, and how long a slot was empty before the next; else the median
        time to effect beyond the service time, of tasks that met a free slot. Most of those are the first to use a
        connection, which others need not wait for.
        """
        name, known = self.tasks[0].task if len(self.tasks) == 1 else "", waits(self.scenario)
        if name in self.run_seconds and name in known:
            beyond = self.run_seconds[name] - known[name] - own_cpu_seconds / self.one_cores
            return max(beyond, 0.0) + (self.turn_seconds or 0.0)
        latency = (self.result.by_phase.get(f"{self.name}{ALONE}") or {}).get("p50")
        if latency is None or len(self.tasks) != 1:
            return None
        return max(latency - self.tasks[0].service_seconds, 0.0)

    def idle_cores(self) -> float | None:
        """Return what one pod uses while there is next to nothing to do."""
        end, ready = self.idle_end(), self._first("ready")
        if not end:
            return None
        began = max((ready.get(pod, end) for pod, at in self._first("created").items() if at < 0), default=0.0)
        idle = [(until - since, cores) for since, until, cores in self._windows() if since >= began and until <= end]
        return fmean((cores for _, cores in idle), weights=[length for length, _ in idle]) if idle else None

    def cores_at_rest(self) -> float | None:
        """Return what all its pods use together while there is next to nothing to do."""
        pods, cores = self._at(self.idle_end(), self._running()), self.idle_cores()
        return None if pods is None or cores is None else pods * cores

    def pods(self, span: Span) -> float:
        """Return how many pods it had meanwhile."""
        pods = self._between(self._running(), *span)
        return fmean(pods) if pods else 0.0

    def idling_cores(self, span: Span) -> float:
        """Return what its pods used meanwhile for being there, whatever they had to do."""
        return self._idling() * self.pods(span)

    def starting_until(self, span: Span) -> float:
        """Return until when its pods were starting in it: its begin where none was, its end where one still was."""
        ready = self._first("ready")
        ends = (ready.get(pod, span[1]) for pod, at in self._first("created").items() if at < span[1])
        return min(max([span[0], *ends]), span[1])

    def start_cpu_seconds(self) -> float | None:
        """Return the CPU time of one pod's start: all used up to the idle phase, less idling.

        Metrics begin with a container's first sample and leave out what was before, if that came early: a start that
        used little of its time was not seen.
        """
        first = [at for at in self._first("created").values() if at < 0]
        end = self.idle_end()
        if not first or not end:
            return None
        found = self._used_in(window for window in self._windows() if window[1] <= end) / len(first)
        start = min((start for start, _ in self.boots()), default=0.0)
        return found if found >= LEAST_BUSY_SHARE * start * self.one_cores else None

    def own_cpu_seconds(self) -> float | None:
        """Return the CPU time that the workers used for a task of the phase of the class alone.

        That is beside idling, and beside what each worker does once, with its first tasks, where these are in it.
        """
        span = self.phase(ALONE)
        if span is None or len(self.tasks) != 1:
            return None
        used = self._used(*self._with_ends(span)) - self.warm_up_cpu_seconds(span)
        return self._of_each(used, self._done(f"{self.name}{ALONE}"))

    def own_cpu_seconds_in(self, span: Span) -> float | None:
        """Return what a task cost the workers at the rate of a time, by what it cost alone, of few and in the crowd."""
        own, cost = self.own_cpu_seconds(), self.message_cost()
        if own is None or cost is None:
            return own
        return own * cost.share(self._typical_rate(span))

    def crowd_cpu_seconds(self) -> float | None:
        """Return the CPU time that the workers used for a task of their crowd; None where a pod started meanwhile."""
        span = self.crowd()
        if span is None or any(span[0] <= at <= span[1] + CUT_OFF_SECONDS for at in self._first("created").values()):
            return None
        return self._of_each(self._used(*span), self._done(f"{self.name}{CROWD}"))

    def crowd(self) -> Span | None:
        """Return from when until when there was a crowd: until its tasks were done. None where there was none."""
        phase, line = self.phase(CROWD), self.result.timeline
        if phase is None or len(self.tasks) != 1:
            return None
        begin, ended = phase[0], zip(line.seconds, line.completions, strict=True)
        following = [start for start in self.scenario.phase_starts if start >= phase[1]]
        until = following[1] if len(following) > 1 else math.inf  # the phase behind it leaves it time to end
        many = (at for at, done in ended if begin <= at < until and done is not None and done >= STRAY)
        last = max(many, default=None)
        return None if last is None else (begin, last + 1.0)

    def message_cost(self) -> CostAtRates | None:
        """Return what a task cost its worker in a crowd, and where few came, in times of what it cost alone."""
        alone, crowd, phase, span = self.own_cpu_seconds(), self.crowd_cpu_seconds(), self.phase(ALONE), self.crowd()
        if alone is None or crowd is None or phase is None or span is None:
            return None
        steady = self._typical_rate(self._with_ends(phase))
        return cost_at_rates(steady, (self._typical_rate(span), crowd / alone), self._few(alone))

    def _few(self, alone: float) -> Shown | None:
        """Return how many tasks a second there were where few came, and what each cost in times of one alone."""
        span, phase = self.phase(FEW_AT_A_TIME), f"{self.name}{FEW_AT_A_TIME}"
        if span is None:
            return None
        used = self._used(*self._with_ends(span)) - self.warm_up_cpu_seconds(span)
        own = self._of_each(used, self._done(phase))
        return None if own is None else (self._typical_rate(self._with_ends(span)), own / alone)

    def _with_ends(self, span: Span) -> Span:
        """Return the time of a phase of the class and of the ends of its tasks."""
        return span[0], span[1] + self.tasks[0].service_seconds

    def _typical_rate(self, span: Span) -> float:
        """Return at what rate one of its workers began and ended the tasks of a time."""
        return typical_rate(self._turns(span)) / self._pods(span)

    def _turns(self, span: Span) -> list[float]:
        """Return how many tasks its workers began or ended in each second; a beginning and an end count half."""
        line = self.result.timeline
        in_work = [line.queues[name]["unacked"] for name in self.settings["queues"]]
        turns = []
        for at, second in enumerate(line.seconds):
            if not span[0] <= second < span[1]:
                continue
            pairs = [(each[at - 1], each[at]) for each in in_work] if at else []
            more = sum(now - before for before, now in pairs if before is not None and now is not None)
            turns.append(max((line.completions[at] or 0) + more / 2, 0.0))
        return turns

    def _pods(self, span: Span) -> float:
        return max(self.pods(span), 1.0)

    def _done(self, phase: str) -> int:
        return int(self.result.by_phase.get(phase, {}).get("completed") or 0)

    def _used(self, start: float, end: float) -> float:
        """Return the CPU time its workers used in a time before and after which they idled, beside idling.

        A window of idling more costs nothing, and a cluster cuts their times to whole seconds.
        """
        first, last = start - CUT_OFF_SECONDS, end + CUT_OFF_SECONDS
        return self._used_in(window for window in self._windows() if window[0] < last and window[1] > first)

    def _used_in(self, windows: Iterable[Window]) -> float:
        idling = self._idling()
        return sum((cores - idling) * (until - since) for since, until, cores in windows)

    @staticmethod
    def _of_each(used: float, done: int) -> float | None:
        return used / done if done and used >= LEAST_SHOWN_CPU_SECONDS else None

    def warm_up_cpu_seconds(self, phase: Span) -> float:
        """Return what its workers used once in a phase: nothing where they had tasks before."""
        before = zip(self.scenario.phases, self.scenario.phase_starts, strict=True)
        if any((each.load or {}).get(self.name, 0.0) > 0.0 for each, start in before if start < phase[0]):
            return 0.0
        return self.default.warm_up_cpu_seconds * (self._at(phase[1], self._running()) or 0.0)

    def cpu_factor(self) -> float | None:
        """Return what the workers used for a task in times of what is stated, None where the run does not show it."""
        own = self.own_cpu_seconds()
        if own is None:
            return None
        stated, _ = stated_shares(self.tasks[0].cpu_seconds, self.pool)
        return own / stated if stated > 0.0 else None

    def phase(self, suffix: str) -> Span | None:
        """Return from when to when the class's phase of that name lasts, None where there is none."""
        return span_of(self.scenario, self.name + suffix)

    def _idling(self) -> float:
        idle = self.idle_cores()
        return self.default.idle_cores if idle is None else idle

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

    def _windows(self) -> Sequence[Window]:
        return self.result.timeline.cpu_windows.get(self.name, ())

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
