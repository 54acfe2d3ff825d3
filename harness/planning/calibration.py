"""From a calibration run to the figures of workers that a plan needs. Pure.

The scenario `calibration` has phases with a meaning: `idle`, and `<class>-alone` with one kind of task each; later each
class in turn adds a pod, which then starts while nothing else wants much of the machine: a plan itself reckons how a
start takes longer where many share the cores. Another scenario of that form will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from statistics import fmean
from types import MappingProxyType
from typing import Any

from harness.errors import InputError
from harness.planning.figures import (
    ASSUMED_CONFIRM_SECONDS,
    ASSUMED_CPU_FACTOR,
    ASSUMED_POOLS,
    BACKGROUND,
    NEVER_MEASURED,
    START_ALONE,
    Figures,
    PoolFigures,
)
from harness.planning.measured_class import ALONE, METRICS_WINDOW_SECONDS, MeasuredClass
from harness.planning.offered import shares_of_cpu
from harness.spike.arrivals import Topology, queue_of
from harness.spike.result import Result
from harness.spike.scenario import Scenario, TaskMix

LATEST_SECONDS = 1.0
"""A load as light as a calibration's is never this late, unless something else has the machine."""
UNLIKE_STARTS = 3.0
"""A worker that starts alone and takes so many times what another of its class took had to wait for something else.
The first ones start together, which takes longer anyway."""
DIGITS = 5


def derive(
    result: Result,
    scenario: Scenario,
    topology: Topology,
    *,
    working_at: Mapping[str, float],
    confirm_seconds: float | None,
    run_seconds: Mapping[str, float] = MappingProxyType({}),
) -> Figures:
    """Measure what one run of a calibration scenario shows; what it does not show stays as assumed, and is named.

    `working_at` says when each pod's worker began to take tasks, in seconds from the start of the load; a pod that is
    missing there counts from when it was ready. `confirm_seconds` is a publish attempt's round trip, `run_seconds` how
    long a run of each task took by the workers' logs. Raises InputError for a run that was interrupted, on a machine
    that was busy otherwise, or of a scenario without such phases.
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
    classes = [
        MeasuredClass(
            result,
            scenario,
            name,
            settings,
            _tasks_of(scenario, settings, topology),
            working_at,
            run_seconds,
        )
        for name, settings in result.setup["classes"].items()
    ]
    _check_starts(result.run_id, classes)
    factor = _cpu_factor(classes)
    pools = {
        pool: replace(one, host_cpu_seconds=round(one.host_cpu_seconds * (factor or 1.0), DIGITS))
        for pool, one in ASSUMED_POOLS.items()
    }
    background = _background_cores(result, classes)
    once = {"confirm_seconds": confirm_seconds, "cpu_factor": factor, BACKGROUND: background}
    assumed = [key for key, value in once.items() if value is None]
    for one in classes:
        pools[one.pool], missing = _figures(one, pools.get(one.pool, pools["threads"]), factor)
        assumed += [f"{one.pool}.{key}" for key in missing]
    return Figures(
        pools=pools,
        confirm_seconds=ASSUMED_CONFIRM_SECONDS if confirm_seconds is None else round(confirm_seconds, DIGITS),
        cpu_factor=ASSUMED_CPU_FACTOR if factor is None else round(factor, DIGITS),
        source=result.run_id,
        runtime=result.runtime,
        machine=result.setup.get("machine", {}),
        background_cores=None if background is None else round(background, DIGITS),
        measured_at=result.started_at,
        assumed=(*assumed, *(pool for pool in ASSUMED_POOLS if pool not in {one.pool for one in classes})),
    )


def _check_starts(run_id: str, classes: Sequence[MeasuredClass]) -> None:
    for one in classes:
        shortest = min((start for start, _ in one.boots()), default=0.0)
        alone = max((start for start, _ in one.boots(since=0.0)), default=0.0)
        if alone > UNLIKE_STARTS * shortest:
            raise InputError(
                f"{run_id}: the machine was busy with something else (one worker of {one.name} took "
                f"{shortest:.1f} s to start, another {alone:.1f} s): calibrate again when it is at rest"
            )


def _tasks_of(scenario: Scenario, settings: Mapping[str, Any], topology: Topology) -> list[TaskMix]:
    return [task for task in scenario.tasks if queue_of(task.task, topology) in settings["queues"]]


def _cpu_factor(classes: Sequence[MeasuredClass]) -> float | None:
    """Return what the workers used in times of what is stated for them, None where no class shows it.

    Less than what is stated counts as time that the rest of the machine took, see `host_cpu_seconds`.
    """
    shown = [(one.own_cpu_seconds(), one.stated_own_cpu_seconds(), one.done) for one in classes]
    known = [(own * done, stated * done) for own, stated, done in shown if own is not None]
    if not known:
        return None
    return max(sum(own for own, _ in known) / sum(stated for _, stated in known), 1.0)


def _background_cores(result: Result, classes: Sequence[MeasuredClass]) -> float | None:
    """Return what the machine is busy with at rest besides the workers, None where the run does not show it."""
    workers = [one.cores_at_rest() for one in classes]
    known = [cores for cores in workers if cores is not None]
    end = max((one.idle_end() for one in classes), default=0.0)
    line = result.timeline
    shown = zip(line.seconds, line.machine_cores, strict=False)
    busy = [cores for second, cores in shown if cores is not None and end - METRICS_WINDOW_SECONDS <= second < end]
    if not busy or len(known) < len(workers):
        return None
    return max(fmean(busy) - sum(known), 0.0)


def _figures(measured: MeasuredClass, default: PoolFigures, factor: float | None) -> tuple[PoolFigures, list[str]]:
    """Return a class's figures, and the names of those that stayed as assumed."""
    idle, starts = measured.idle_cores(), measured.boots()
    start_cpu = measured.start_cpu_seconds()
    # Where tasks cost more than is stated, nothing tells how much of that the rest of the machine takes.
    host = measured.host_cpu_seconds() if factor == 1.0 else default.host_cpu_seconds
    found: dict[str, float | None] = {
        # Others who want the machine only ever lengthen a start: the shortest is nearest to one alone.
        "start_seconds": min((start for start, _ in starts), default=None),
        "ready_seconds": min((ready for _, ready in starts), default=None),
        "start_cpu_seconds": start_cpu,
        **dict.fromkeys(NEVER_MEASURED),
        "overhead_seconds": measured.overhead_seconds(_own_cpu_seconds(measured, default, host, factor)),
        "idle_cores": idle,
        "host_cpu_seconds": host,
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
    if starts and not measured.boots(since=0.0):  # those of before the load start together
        missing.append(START_ALONE)
    return PoolFigures(**{**asdict(default), **times, **sizes}), missing


def _own_cpu_seconds(
    measured: MeasuredClass, default: PoolFigures, host_cpu_seconds: float | None, factor: float | None
) -> float:
    """Return what a plan will say that the worker itself computes for one of the class's tasks."""
    if not measured.tasks:
        return 0.0
    shared = default if host_cpu_seconds is None else replace(default, host_cpu_seconds=host_cpu_seconds)
    own, _ = shares_of_cpu(measured.tasks[0].cpu_seconds, shared, factor or 1.0)
    return own
