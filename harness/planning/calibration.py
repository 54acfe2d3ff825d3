"""From a calibration run to the figures of workers that a plan needs. Pure.

The scenario `calibration` has phases with a meaning: `idle`, then `<class>-alone` with one kind of task each, which
shows what a task costs the workers, and `<class>-few`, what it costs where few come; then `<class>-growth`, in which
each class in turn adds a pod, which starts while nothing else wants much of the machine: a plan itself reckons how a
start takes longer where many share the cores. The busiest of them shows what the rest of the machine has to do, the end
of `rest` what it does for the pods that were added. Another scenario of that form will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from types import MappingProxyType
from typing import Any

from harness.errors import InputError
from harness.planning.figures import (
    ASSUMED_CONFIRM_SECONDS,
    ASSUMED_POOLS,
    BACKGROUND,
    FEW_SHARE,
    HOST_COST,
    MESSAGE_COST,
    NEVER_MEASURED,
    POD_CORES,
    START_ALONE,
    CostAtRates,
    Figures,
    PoolFigures,
    stated_shares,
)
from harness.planning.measured_class import (
    ALONE,
    CROWD,
    FEW_AT_A_TIME,
    GROWTH,
    MeasuredClass,
    Span,
    cost_at_rates,
    span_of,
    typical_rate,
)
from harness.planning.offered import shares_of_cpu
from harness.planning.place import pod_cpu_seconds
from harness.spike.arrivals import Topology, queue_of
from harness.spike.result import Result
from harness.spike.scenario import Scenario, TaskMix

LATEST_SECONDS = 1.0
"""A load as light as a calibration's is never this late, unless something else has the machine.
Its crowd may be late by as long as it lasts."""
UNLIKE_STARTS = 3.0
"""A worker that starts alone and takes so many times what another of its class took had to wait for something else.
The first ones start together, which takes longer anyway."""
LATER_REST = "rest"
"""The phase whose end shows the machine at rest with the pods that were added."""
LEAST_ADDED = 2.0
"""Fewer pods than these show nothing of what each costs."""
REST_SECONDS = 15.0
"""How much of the idle phase, and of `rest`, says what a machine does at rest."""
LEAST_SECONDS = 3.0
"""Of a phase that are needed to say what a machine is busy with."""
LEAST_RATE = 20.0
"""Tasks a second below which what they cost drowns in what a machine does at rest."""
DIGITS = 5


def derive(
    result: Result,
    scenario: Scenario,
    topology: Topology,
    *,
    working_at: Mapping[str, float],
    confirm_seconds: float | None,
    run_seconds: Mapping[str, float] = MappingProxyType({}),
    turn_seconds: Mapping[str, float] = MappingProxyType({}),
) -> Figures:
    """Measure what one run of a calibration scenario shows; what it does not show stays as assumed, and is named.

    `working_at` says when each pod's worker began to take tasks, in seconds from the start of the load; a pod that is
    missing there counts from when it was ready. `confirm_seconds` is a publish attempt's round trip, `run_seconds` how
    long a run of each task took by the workers' logs, `turn_seconds` how long a slot of each class was empty between
    two. Raises InputError for a run that was interrupted, on a machine that was busy otherwise, or of a scenario
    without such phases.
    """
    if result.interrupted or not result.counts.completed:
        raise InputError(f"{result.run_id}: the run did not come to its end; calibrate again")
    late = result.publisher_lag_seconds.get("max")
    latest = LATEST_SECONDS + sum(phase.seconds for phase in scenario.phases if phase.name.endswith(CROWD))
    if late is None or late > latest:
        raise InputError(
            f"{result.run_id}: the machine was busy with something else (an attempt of this light load was "
            f"{late or 0:.1f} s late, {latest:g} s are the most): calibrate again when it is at rest"
        )
    if not any(result.timeline.cpu_windows.values()):
        raise InputError(
            f"{result.run_id}: the run kept no CPU use of its workers (metrics-server away?); calibrate again"
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
            turn_seconds.get(name),
        )
        for name, settings in result.setup["classes"].items()
    ]
    _check_starts(result.run_id, classes)
    each_pod = _pod_cores(result, scenario, classes)
    factor, (shown_host, cost) = _cpu_factor(classes) or 1.0, _host_factor(result, scenario, classes, each_pod or 0.0)
    host = shown_host or factor  # where nothing tells, the rest of the machine is as much slower as the workers are
    pools = {pool: _scaled(one, factor, host) for pool, one in ASSUMED_POOLS.items()}
    background = _background_cores(result, classes, each_pod or 0.0)
    once = {
        "confirm_seconds": confirm_seconds,
        "host_factor": shown_host,
        HOST_COST: cost,
        BACKGROUND: background,
        POD_CORES: each_pod,
    }
    assumed: list[str] = [key for key, value in once.items() if value is None]
    if cost is not None and not cost.shows_few:
        assumed.append(f"{HOST_COST}.{FEW_SHARE}")
    for one in classes:
        pools[one.pool], missing = _figures(one, pools.get(one.pool, pools["threads"]))
        assumed += [f"{one.pool}.{key}" for key in missing]
    return Figures(
        pools=pools,
        confirm_seconds=ASSUMED_CONFIRM_SECONDS if confirm_seconds is None else round(confirm_seconds, DIGITS),
        host_factor=round(host, DIGITS),
        host_cost=cost,
        source=result.run_id,
        runtime=result.runtime,
        machine=result.setup.get("machine", {}),
        background_cores=None if background is None else round(background, DIGITS),
        pod_cores=None if each_pod is None else round(each_pod, DIGITS),
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
    """Return what workers used in times of what is stated, None where no class shows it.

    It is the mean of those that do, and stands for the others, which have too little CPU time to be measured.
    """
    known = [factor for factor in (one.cpu_factor() for one in classes) if factor is not None]
    return fmean(known) if known else None


def _rest(classes: Sequence[MeasuredClass]) -> Span | None:
    """Return the last seconds of the idle phase, in which no worker starts any more; None where there is none."""
    end = max((one.idle_end() for one in classes), default=0.0)
    return (end - REST_SECONDS, end) if end >= REST_SECONDS else None


def _background_cores(result: Result, classes: Sequence[MeasuredClass], each_pod: float) -> float | None:
    """Return what the machine is busy with at rest besides the workers, None where the run does not show it."""
    span, workers = _rest(classes), [one.cores_at_rest() for one in classes]
    known = [cores for cores in workers if cores is not None]
    rest = None if span is None else _mean(result, result.timeline.machine_cores, span)
    if span is None or rest is None or len(known) < len(workers):
        return None
    return max(rest - sum(known) - each_pod * _pods(classes, span), 0.0)


def _pod_cores(result: Result, scenario: Scenario, classes: Sequence[MeasuredClass]) -> float | None:
    """Return what the machine uses for each pod that is there, beside what the pod uses; None where that is not shown.

    That is by how much it is busier at rest with the pods that were added than with the first ones.
    """
    first, later = _rest(classes), span_of(scenario, LATER_REST)
    if first is None or later is None:
        return None
    second = later[1] - REST_SECONDS, later[1]
    before, after = (_mean(result, result.timeline.machine_cores, span) for span in (first, second))
    added = _pods(classes, second) - _pods(classes, first)
    if before is None or after is None or added < LEAST_ADDED:
        return None
    idling = sum(one.idling_cores(second) - one.idling_cores(first) for one in classes)
    return max((after - before - idling) / added, 0.0)


def _pods(classes: Sequence[MeasuredClass], span: Span) -> float:
    return sum(one.pods(span) for one in classes)


def _mean(result: Result, values: Sequence[float | None], span: Span) -> float | None:
    known = result.timeline.known(values, *span)
    return fmean(known) if known else None


def _host_factor(
    result: Result, scenario: Scenario, classes: Sequence[MeasuredClass], each_pod: float
) -> tuple[float | None, CostAtRates | None]:
    """Return what publisher, broker and stand-ins used in times of what is stated, and how that falls with the rate.

    That is what the machine was busy with in the growth with the most tasks a second, once the pod before had started,
    less what workers used and what it is busy with at rest; None where the run does not show it. Events that come one
    by one wake each process, which costs more than the work itself; of many a second fewer do. The crowd shows of how
    many it is how much less, the phase of few how much more it is of those.
    """
    growths = [(_rate(result, span), span, one) for one in classes if (span := one.phase(GROWTH))]
    busiest = max(growths, key=lambda growth: growth[0], default=None)
    if busiest is None or busiest[0] < LEAST_RATE:
        return None, None
    _, (begin, end), one = busiest
    span = max(each.starting_until((begin, end)) for each in classes), end
    if end - span[0] < LEAST_SECONDS:
        return None, None
    steady = _outside(result, scenario, classes, one, span, one.own_cpu_seconds_in(span), each_pod)
    crowd = one.crowd()
    if steady is None or crowd is None or max(each.starting_until(crowd) for each in classes) > crowd[0]:
        return steady, None
    crowded = _outside(result, scenario, classes, one, crowd, one.crowd_cpu_seconds(), each_pod)
    if crowded is None:
        return steady, None
    few = one.phase(FEW_AT_A_TIME)
    spared = few and _outside(
        result,
        scenario,
        classes,
        one,
        few,
        one.own_cpu_seconds_in(few),
        each_pod,
        once_cpu_seconds=one.warm_up_cpu_seconds(few),
    )
    return steady, cost_at_rates(
        _rate(result, span),
        (_rate(result, crowd), crowded / steady),
        (_rate(result, few), spared / steady) if few and spared else None,
    )


def _rate(result: Result, span: Span) -> float:
    """Return at what rate tasks came and ended, each second counting by what was in it: what an event meets."""
    line = result.timeline
    coming, ending = (line.known(values, *span) for values in (line.arrivals, line.completions))
    return typical_rate([(came + ended) / 2 for came, ended in zip(coming, ending, strict=True)])


def _outside(
    result: Result,
    scenario: Scenario,
    classes: Sequence[MeasuredClass],
    one: MeasuredClass,
    span: Span,
    own: float | None,
    each_pod: float,
    *,
    once_cpu_seconds: float = 0.0,
) -> float | None:
    """Return what the machine used besides workers for one class's tasks, in times of what is stated of them.

    `own` is what a task cost its worker, `once_cpu_seconds` what workers did once meanwhile.
    """
    used = _beside_idling(result, classes, span, each_pod)
    if own is None or used is None:
        return None
    offered, done = (
        _mean(result, values, span) or 0.0 for values in (result.timeline.arrivals, result.timeline.completions)
    )
    _, of_task = stated_shares(one.tasks[0].cpu_seconds, one.pool)
    stated = offered * scenario.publisher.cpu_seconds + done * of_task
    # Half of a task's own CPU time is before its waiting, half after it.
    used -= own * (offered + done) / 2 + once_cpu_seconds / (span[1] - span[0])
    return used / stated if used > 0.0 < stated else None


def _beside_idling(result: Result, classes: Sequence[MeasuredClass], span: Span, each_pod: float) -> float | None:
    """Return what the machine did meanwhile that it does not do at rest with as many pods, in cores."""
    at_rest = _rest(classes)
    if at_rest is None:
        return None
    busy, rest = (_mean(result, result.timeline.machine_cores, each) for each in (span, at_rest))
    added = sum(one.idling_cores(span) - one.idling_cores(at_rest) for one in classes)
    added += each_pod * (_pods(classes, span) - _pods(classes, at_rest))
    return None if busy is None or rest is None else busy - rest - added


def _scaled(pool: PoolFigures, factor: float, host: float) -> PoolFigures:
    return replace(
        pool,
        cpu_factor=round(pool.cpu_factor * factor, DIGITS),
        host_cpu_seconds=round(pool.host_cpu_seconds * host, DIGITS),
    )


def _figures(measured: MeasuredClass, default: PoolFigures) -> tuple[PoolFigures, list[str]]:
    """Return a class's figures, and the names of those that stayed as assumed."""
    idle, start = measured.idle_cores(), measured.start()
    start_cpu, factor = measured.start_cpu_seconds(), measured.cpu_factor()
    costs = default if factor is None else replace(default, cpu_factor=round(factor, DIGITS))
    found: dict[str, Any] = {
        "start_seconds": None if start is None else start[0],
        "ready_seconds": None if start is None else start[1],
        "start_cpu_seconds": start_cpu,
        **dict.fromkeys(NEVER_MEASURED),
        "overhead_seconds": measured.overhead_seconds(_own_cpu_seconds(measured, costs)),
        "idle_cores": idle,
        "cpu_factor": factor,
    }
    memory = {
        "memory_bytes": measured.memory_bytes(),
        "memory_bytes_per_task": measured.memory_bytes_per_task(),
    }
    times: dict[str, Any] = {key: round(value, DIGITS) for key, value in found.items() if value is not None}
    if "start_seconds" in times:  # probes are in the CPU time too: a start has no more of it than it lasted
        of_start = times.get("start_cpu_seconds", default.start_cpu_seconds)
        own_seconds = max(times["start_seconds"] - pod_cpu_seconds(measured.result.runtime), 0.0)
        times["start_cpu_seconds"] = min(of_start, round(own_seconds * measured.one_cores, DIGITS))
    sizes: dict[str, Any] = {key: round(value) for key, value in memory.items() if value is not None}
    missing = [key for key, value in {**found, **memory}.items() if value is None]
    if start is not None and not measured.boots(since=0.0):  # those of before the load start together
        missing.append(START_ALONE)
    own, cost = measured.own_cpu_seconds(), measured.message_cost()
    if own is not None and cost is not None:
        if not cost.shows_few:
            missing.append(f"{MESSAGE_COST}.{FEW_SHARE}")
        return replace(default, **times, **sizes, message_cpu_seconds=round(own, DIGITS), message_cost=cost), missing
    if measured.phase(CROWD) is not None:
        missing.append(MESSAGE_COST)
    return replace(default, **times, **sizes), missing


def _own_cpu_seconds(measured: MeasuredClass, figures: PoolFigures) -> float:
    """Return what a plan will say that the worker itself computes for one of the class's tasks."""
    if not measured.tasks:
        return 0.0
    own, _ = shares_of_cpu(measured.tasks[0].cpu_seconds, measured.pool, figures)
    return own
