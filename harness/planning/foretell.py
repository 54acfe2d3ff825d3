"""A simulated run as the result of a real one: the same ledger, objectives and timeline. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.planning.offered import Offered
from harness.runtime.base import ScaleEvent
from harness.simulation.model import DONE, DROPPED, EXPIRED, FAILED, OPEN, REFUSED, Plant, Trace
from harness.spike import result
from harness.spike.ledger import Counts, Death, FinalState, Ledger, Publication, TaskRecord
from harness.spike.objectives import Measurements, Objective, Outcome, evaluate, standing_rules
from harness.spike.result import Result, RunFacts

_DEATHS = {EXPIRED: Death.EXPIRED, FAILED: Death.FAILED, DROPPED: Death.DROPPED}
STORES = "reject-publish-dlx"


@dataclass(frozen=True)
class Foretold:
    """What a simulation says of a run: the trace, and the result a run would have."""

    trace: Trace
    result: Result


def foretold(
    plant: Plant,
    offered: Offered,
    trace: Trace,
    *,
    facts: RunFacts,
    objectives: Sequence[Objective],
    groups: Mapping[str, str] | None = None,
) -> Foretold:
    """Judge a simulated run as a real one is judged. `groups` has the group of each task that has one."""
    started_at = facts.started_at
    return Foretold(
        trace,
        result.build(
            facts=facts,
            ledger=ledger(plant, offered, trace, started_at=started_at),
            objectives=objectives,
            due_at=_due_at(offered, started_at),
            samples=samples(plant, trace),
            scale_events=[
                ScaleEvent(started_at + step.t, step.deployment, step.before, step.after, step.reason)
                for step in trace.steps
            ],
            groups=groups,
        ),
    )


def judged(plant: Plant, offered: Offered, trace: Trace, objectives: Sequence[Objective]) -> tuple[Outcome, ...]:
    """Measure a simulated run's objectives and standing rules, without all that a page shows."""
    last_due = float(offered.load.due_seconds.max(initial=0.0))
    measured = Measurements(
        ledger(plant, offered, trace, started_at=0.0),
        _due_at(offered, 0.0).keys(),
        0.0,
        last_due,
        first_added_ready_seconds(trace),
    )
    return (*evaluate(objectives, measured), *standing_rules(objectives, measured))


def ledger(plant: Plant, offered: Offered, trace: Trace, *, started_at: float) -> Ledger:
    """Return each offered task's way. A task that was never offered for want of time has no record, as in a run."""
    stores = {queue.name for queue in plant.queues if queue.overflow == STORES}
    records = tuple(_records(offered, trace, started_at, stores))
    return Ledger(records=records, counts=Counts.of(records))


def _records(offered: Offered, trace: Trace, started_at: float, stores: set[str]) -> Iterable[TaskRecord]:
    refusals = _refusals(trace, started_at)
    first, accepted, done = (
        (times + started_at).tolist() for times in (trace.first_attempt, trace.accepted, trace.done)
    )
    for index, (arrival, state) in enumerate(zip(offered.plan.arrivals, trace.state.tolist(), strict=True)):
        if math.isnan(first[index]):
            continue
        accepted_at = None if math.isnan(accepted[index]) else accepted[index]
        publication, final = _settled(state, accepted=accepted_at is not None)
        yield TaskRecord(
            id=arrival.id,
            task=arrival.task,
            queue=arrival.queue,
            phase=arrival.phase,
            publication=publication,
            state=final,
            death=_DEATHS.get(state),
            first_attempt_at=first[index],
            accepted_at=accepted_at,
            done_at=done[index] if state == DONE else None,
            refused_at=refusals.get(index, ()),
            resolved_late=False,
            stored=final is FinalState.REFUSED and arrival.queue in stores,
        )


def _settled(state: int, *, accepted: bool) -> tuple[Publication, FinalState]:
    if state == REFUSED or (state == OPEN and not accepted):  # what still waits at the end is given up
        return Publication.REFUSED, FinalState.REFUSED
    if state == DONE:
        return Publication.ACCEPTED, FinalState.COMPLETED
    return Publication.ACCEPTED, FinalState.IN_FLIGHT if state == OPEN else FinalState.DEAD_LETTERED


def _refusals(trace: Trace, started_at: float) -> dict[int, tuple[float, ...]]:
    """Return when each refused task was refused, by its index."""
    if not len(trace.refused_task):
        return {}
    order = np.argsort(trace.refused_task, kind="stable")
    tasks, times = trace.refused_task[order], trace.refused_at[order] + started_at
    starts = np.flatnonzero(np.diff(tasks, prepend=tasks[0] - 1))
    parts = np.split(times, starts[1:])
    return {int(tasks[start]): tuple(part.tolist()) for start, part in zip(starts, parts, strict=True)}


def samples(plant: Plant, trace: Trace) -> list[dict[str, Any]]:
    """Return what a run loop would have sampled each second; CPU as metrics show it, over their window."""
    window = max(round(plant.clockwork.metrics_resolution_seconds), 1)
    cpu = {name: trailing_mean(values, window).tolist() for name, values in trace.cpu_cores.items()}
    memory = {name: values.tolist() for name, values in trace.memory_bytes.items()}
    return [
        {
            "t": second,
            "queues": {
                name: {"ready": int(ready[at]), "unacked": int(trace.unacked[name][at])}
                for name, ready in trace.ready.items()
            },
            "replicas": {
                name: {
                    "desired": int(desired[at]),
                    "running": int(trace.running[name][at]),
                    "ready": int(trace.pods_ready[name][at]),
                }
                for name, desired in trace.desired.items()
            },
            "cpu_cores": {name: round(values[at], 4) for name, values in cpu.items()},
            "memory_bytes": {name: round(values[at]) for name, values in memory.items()},
        }
        for at, second in enumerate(trace.seconds.tolist())
    ]


def trailing_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the mean of each value and those up to `window` - 1 before it."""
    if not len(values):
        return values
    sums = np.cumsum(values)
    before = np.concatenate([np.zeros(min(window, len(sums))), sums[:-window]])[: len(sums)]
    return (sums - before) / np.minimum(np.arange(1, len(sums) + 1), window)


def first_added_ready_seconds(trace: Trace) -> float | None:
    """Return the second in which some Deployment had more pods ready than at the start, None when none had."""
    found = []
    for ready in trace.pods_ready.values():
        grown = np.flatnonzero(ready > ready[:1])
        if len(grown):
            found.append(math.floor(trace.seconds[grown[0]]))
    return min(found, default=None)


def utilisation(plant: Plant, trace: Trace) -> dict[str, dict[str, float | None]]:
    """Return, by class, how much of its slots and of its requested CPU was used while it had pods."""
    found: dict[str, dict[str, float | None]] = {}
    for one in plant.classes:
        seconds = trace.replica_seconds.get(one.name, 0.0)
        busy = float(np.sum(trace.busy_slots[one.name])) if one.name in trace.busy_slots else 0.0
        cpu = trace.cpu_cores.get(one.name)
        requested = (one.cpu_request_milli or 0) / 1000 * seconds
        found[one.name] = {
            "slots_share": busy / (seconds * one.slots) if seconds else None,
            "cpu_request_share": float(np.sum(cpu)) / requested if cpu is not None and requested else None,
            "replica_seconds": seconds,
        }
    return found


def peak_depths(trace: Trace) -> dict[str, int]:
    """Return the most messages that waited in each queue at a sample."""
    return {name: int(values.max(initial=0)) for name, values in trace.ready.items()}


def _due_at(offered: Offered, started_at: float) -> Mapping[str, float]:
    return {one.id: started_at + one.due_seconds for one in offered.plan.arrivals}
