"""From a calibration run to the figures of workers that a plan needs. Pure.

The scenario `calibration` has phases with a meaning: `idle`, and `<class>-alone` with one kind of task each; later each
class in turn adds a pod, which then starts while nothing else wants much of the machine: a plan itself reckons how a
start takes longer where many share the cores. Another scenario of that form will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.errors import InputError
from harness.planning.figures import ASSUMED_CONFIRM_SECONDS, ASSUMED_POOLS, Figures, PoolFigures
from harness.spike.arrivals import Topology, queue_of
from harness.spike.result import Result
from harness.spike.scenario import Scenario, TaskMix

IDLE_PHASE = "idle"
ALONE = "-alone"
METRICS_WINDOW_SECONDS = 15.0
"""CPU figures are means over such a window, shown until the next: their sum over time lags by one."""
FRESH_SECONDS = 3.0
LEAST_TASKS = 200
"""Below this the CPU time of tasks drowns in that of probes and heartbeats."""
LARGEST_HOST_SHARE = 0.8
LEAST_BUSY_SHARE = 0.3
"""A worker's start is mostly importing, so mostly CPU time."""
LATEST_SECONDS = 1.0
"""A load as light as a calibration's is never this late, unless something else has the machine."""
DIGITS = 5


def derive(
    result: Result,
    scenario: Scenario,
    topology: Topology,
    *,
    working_at: Mapping[str, float],
    confirm_seconds: float | None,
) -> Figures:
    """Measure what one run of a calibration scenario shows; what it does not show stays as assumed, and is named.

    `working_at` says when each pod's worker began to take tasks, in seconds from the start of the load; a pod that is
    missing there counts from when it was ready. `confirm_seconds` is a publish attempt's round trip. Raises InputError
    for a run that was interrupted, on a machine that was busy otherwise, or of a scenario without such phases.
    """
    if result.interrupted or not result.counts.completed:
        raise InputError(f"{result.run_id}: the run did not come to its end; calibrate again")
    late = result.publisher_lag_seconds.get("max")
    if late is None or late > LATEST_SECONDS:
        raise InputError(
            f"{result.run_id}: the machine was busy with something else (an attempt of this light load was "
            f"{late or 0:.1f} s late, {LATEST_SECONDS:g} s are the most): calibrate again when it is at rest"
        )
    if not {f"{name}{ALONE}" for name in topology["classes"]} & {phase.name for phase in scenario.phases}:
        raise InputError(f"{result.run_id}: no phase is named for a class alone, as io{ALONE}; is it a calibration?")
    pools: dict[str, PoolFigures] = {}
    assumed = [] if confirm_seconds is not None else ["confirm_seconds"]
    for name, settings in result.setup["classes"].items():
        tasks = [task for task in scenario.tasks if queue_of(task.task, topology) in settings["queues"]]
        pool = str(settings["pool"])
        pools[pool], missing = _figures(_Measured(result, scenario, name, settings, tasks, working_at))
        assumed += [f"{pool}.{key}" for key in missing]
    return Figures(
        pools={**ASSUMED_POOLS, **pools},
        confirm_seconds=ASSUMED_CONFIRM_SECONDS if confirm_seconds is None else round(confirm_seconds, DIGITS),
        source=result.run_id,
        runtime=result.runtime,
        machine=result.setup.get("machine", {}),
        measured_at=result.started_at,
        assumed=(*assumed, *(pool for pool in ASSUMED_POOLS if pool not in pools)),
    )


def _figures(measured: _Measured) -> tuple[PoolFigures, list[str]]:
    """Return a class's figures, and the names of those that stayed as assumed."""
    default = ASSUMED_POOLS.get(str(measured.settings["pool"]), ASSUMED_POOLS["threads"])
    idle, starts = measured.idle_cores(), measured.boots()
    idle_cores = default.idle_cores if idle is None else idle
    start_cpu = measured.start_cpu_seconds(idle_cores)
    found: dict[str, float | None] = {
        # Others who want the machine only ever lengthen a start: the shortest is nearest to one alone.
        "start_seconds": min((start for start, _ in starts), default=None),
        "ready_seconds": min((ready for _, ready in starts), default=None),
        "start_cpu_seconds": start_cpu,
        "overhead_seconds": measured.overhead_seconds(),
        "idle_cores": idle,
        "host_cpu_seconds": measured.host_cpu_seconds(idle_cores, start_cpu or default.start_cpu_seconds),
    }
    memory = {
        "memory_bytes": measured.memory_bytes(),
        "memory_bytes_per_task": measured.memory_bytes_per_task(),
    }
    times = {key: round(value, DIGITS) for key, value in found.items() if value is not None}
    if "start_seconds" in times:  # probes are in the CPU time too: a start has no more of it than it lasted
        of_start = times.get("start_cpu_seconds", default.start_cpu_seconds)
        times["start_cpu_seconds"] = min(of_start, times["start_seconds"])
    sizes = {key: round(value) for key, value in memory.items() if value is not None}
    missing = [key for key, value in {**found, **memory}.items() if value is None]
    return PoolFigures(**{**asdict(default), **times, **sizes}), missing


@dataclass(frozen=True)
class _Measured:
    """One class in a calibration run. None stands for what the run does not show."""

    result: Result
    scenario: Scenario
    name: str
    settings: Mapping[str, Any]
    tasks: Sequence[TaskMix]
    working_at: Mapping[str, float]

    def boots(self) -> list[tuple[float, float]]:
        """Return, of each pod, the time from creation until it took tasks and until it was ready."""
        created, ready = self._first("created"), self._first("ready")
        return [
            (min(self.working_at.get(pod, ready[pod]), ready[pod]) - at, ready[pod] - at)
            for pod, at in created.items()
            if pod in ready
        ]

    def overhead_seconds(self) -> float | None:
        """Return the median time to effect beyond the service time, of tasks that met a free slot."""
        latency = (self.result.by_phase.get(f"{self.name}{ALONE}") or {}).get("p50")
        if latency is None or len(self.tasks) != 1:
            return None
        return max(latency - self.tasks[0].service_seconds, 0.0)

    def idle_cores(self) -> float | None:
        """Return what one pod uses while there is next to nothing to do."""
        end = self._idle_end()
        pods, cores = self._at(end, self._running()), self._at(end, self._cores())
        return None if end < 2 * METRICS_WINDOW_SECONDS or not pods or cores is None else cores / pods

    def start_cpu_seconds(self, idle_cores: float) -> float | None:
        """Return the CPU time of one pod's start: all used up to the idle phase, less idling.

        Metrics begin with a container's first sample and leave out what was before, if that came early: a start that
        used little of its time was not seen.
        """
        first = [at for at in self._first("created").values() if at < 0]
        end = self._idle_end()
        if not first or not end:
            return None
        used = sum(self._between(self._cores(), min(first), end)) / len(first)
        found = used - idle_cores * (end - METRICS_WINDOW_SECONDS - min(first))
        start = min((start for start, _ in self.boots()), default=0.0)
        return found if found >= LEAST_BUSY_SHARE * start else None

    def host_cpu_seconds(self, idle_cores: float, start_cpu_seconds: float) -> float | None:
        """Return the part of a task's stated CPU time that the workers did not use."""
        done = sum(int((self.result.by_task.get(task.task) or {}).get("completed") or 0) for task in self.tasks)
        begin, end = self._idle_end(), float(self.result.timeline.seconds[-1] + 1)
        if not begin or done < LEAST_TASKS or len(self.tasks) != 1:
            return None
        used = sum(self._between(self._cores(), begin, end))
        pod_seconds = sum(self._between(self._running(), begin - METRICS_WINDOW_SECONDS, end - METRICS_WINDOW_SECONDS))
        own = (used - idle_cores * pod_seconds - start_cpu_seconds * self._added()) / done
        stated = self.tasks[0].cpu_seconds
        return min(max(stated - own, 0.0), LARGEST_HOST_SHARE * stated)

    def _added(self) -> int:
        """Return how many pods were added during the load."""
        return sum(at >= 0 for at in self._first("created").values())

    def memory_bytes(self) -> float | None:
        """Return one pod's memory at rest."""
        end = self._idle_end()
        pods, memory = self._at(end, self._running()), self._at(end, self._memory())
        return None if not pods or memory is None else memory / pods

    def memory_bytes_per_task(self) -> float | None:
        """Return what each task in work adds, at the peak before a pod is added."""
        at_rest, pods = self.memory_bytes(), self._at(self._idle_end(), self._running())
        events = self.result.scale_events
        until = min((event["t"] for event in events if event["t"] >= 0), default=self.result.duration_seconds)
        most = self._between(self._memory(), self._idle_end(), until)
        if at_rest is None or not pods or not most:
            return None
        return max(max(most) / pods - at_rest, 0.0) / int(self.settings["concurrency"])

    def _idle_end(self) -> float:
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
        pairs = zip(self.result.timeline.seconds, values, strict=False)
        return [value for second, value in pairs if start <= second < end and value is not None]
