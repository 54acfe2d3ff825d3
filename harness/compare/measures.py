"""What two ways are compared in: the figures of one run. Pure.

Times count from the first task to the last effect; a run that did not get rid of its tasks counts to its end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.claims.figures import summed
from harness.simulation import cost
from harness.simulation.cost import SECONDS_PER_HOUR, Cycle, Prices
from harness.spike.result import Result

MONTH_TASKS = 100_000
"""The volume a month is priced at, as in what the report's 60 % is held against."""
WINDOW_SECONDS = 10
"""Tasks done in one second jump about; the most is told of so many together."""

Numbers = Sequence[float | None]


@dataclass(frozen=True)
class Measure:
    """One figure. `unit` is "", "s", "share", "money" or a word; `digits` stand behind the point."""

    key: str
    title: str
    unit: str
    digits: int = 1


MEASURES = (
    Measure("in_work_most", "Tasks in work at once, at most", "", 0),
    Measure("in_work_mean", "Tasks in work at once, mean", ""),
    Measure("drain_seconds", "Backlog gone after the last was due", "s"),
    Measure("done_per_second", "Tasks done a second, first to last", ""),
    Measure("done_per_second_most", f"Tasks done a second, best {WINDOW_SECONDS} s", ""),
    Measure("p50", "Half of the tasks done within", "s"),
    Measure("p95", "95 % of the tasks done within", "s"),
    Measure("p99", "99 % of the tasks done within", "s"),
    Measure("slots_share", "Slots in use", "share", 0),
    Measure("cpu_share", "CPU used of what is requested", "share", 1),
    Measure("memory_share", "Memory used of what is requested", "share", 1),
    Measure("not_done", "Tasks not done", "", 0),
    Measure("refused_first", "Tasks refused at first", "", 0),
    Measure("cores_most", "Cores requested, at most", "", 2),
    Measure("memory_gib_most", "GiB requested, at most", "", 1),
    Measure("core_hours", "Core-hours requested", "", 3),
    Measure("gib_hours", "GiB-hours requested", "", 3),
    Measure("load_cost", "Cost of the load", "money", 4),
    Measure("month_cost", f"Cost of a month with {MONTH_TASKS:,} tasks", "money", 2),
)
"""Of every run; those of groups and phases come after them."""


def group_measures(results: Sequence[Result]) -> list[Measure]:
    """Return what is compared of the groups of tasks that these runs have, phase by phase."""
    found = {
        group_key(group, phase): Measure(
            group_key(group, phase), f"95 % of {group} tasks done within, phase {phase}", "s"
        )
        for one in results
        for group, phases in one.by_group.items()
        for phase in phases
    }
    return list(found.values())


def measured(result: Result, cycle: Cycle, prices: Prices) -> dict[str, float | None]:
    """Return all figures of a run by their key. `cycle` is the run's, as it is priced."""
    rate, idle = cost.rate_by_requests(cycle, prices)
    end = end_seconds(result)
    month = cost.month(cycle, rate, idle, MONTH_TASKS)
    counts = result.counts
    return {
        **_work(result, end),
        "drain_seconds": result.drain_seconds,
        "done_per_second": counts.completed / end,
        **{name: result.latency_seconds.get(name) for name in ("p50", "p95", "p99")},
        **_use(result, end),
        "not_done": float(counts.offered - counts.completed),
        "refused_first": float(counts.refused_tasks),
        **_requested(cycle, end),
        "load_cost": rate.integral(end) / SECONDS_PER_HOUR,
        "month_cost": month.cost if month.feasible else None,
        **{
            group_key(group, phase): row.get("p95")
            for group, phases in result.by_group.items()
            for phase, row in phases.items()
        },
    }


def end_seconds(result: Result) -> float:
    """Return when the last effect was seen, from the start of the load; the run's end where tasks were left."""
    drained = None if result.drain_seconds is None else result.last_due_seconds + result.drain_seconds
    return max(result.duration_seconds if drained is None else drained, 1.0)


def group_key(group: str, phase: str) -> str:
    """Return the key of a group's p95 in a phase."""
    return f"p95 {group} {phase}"


def _work(result: Result, end: float) -> dict[str, float | None]:
    line = result.timeline
    in_work = _within(result, end, summed([depth["unacked"] for depth in line.queues.values()]))
    done = [value or 0.0 for value in _within(result, end, line.completions)]
    windows = [math.fsum(done[at : at + WINDOW_SECONDS]) for at in range(max(1, len(done) - WINDOW_SECONDS + 1))]
    known = [value for value in in_work if value is not None]
    return {
        "in_work_most": max(known, default=None),
        "in_work_mean": math.fsum(known) / len(known) if known else None,
        "done_per_second_most": max(windows) / WINDOW_SECONDS,
    }


def _use(result: Result, end: float) -> dict[str, float | None]:
    line, classes = result.timeline, result.setup.get("classes", {})
    in_work = {
        name: summed([line.queues[queue]["unacked"] for queue in each.get("queues", ()) if queue in line.queues])
        for name, each in classes.items()
    }
    return {
        "slots_share": _used_share(result, end, in_work, having="ready", of="concurrency"),
        "cpu_share": _used_share(result, end, line.cpu_cores, having="running", of="cpu_request_cores"),
        "memory_share": _used_share(result, end, line.memory_bytes, having="running", of="memory_request_bytes"),
    }


def _used_share(
    result: Result, end: float, used_by_class: Mapping[str, Numbers], *, having: str, of: str
) -> float | None:
    """Return what all classes used of what their pods have together, over the seconds in which both are known."""
    used = had = 0.0
    for name, each in result.setup.get("classes", {}).items():
        pods = result.timeline.replicas.get(each["deployment"], {}).get(having, ())
        for value, count in zip(
            _within(result, end, used_by_class.get(name, ())), _within(result, end, pods), strict=False
        ):
            if value is not None and count is not None and each.get(of) is not None:
                used += value
                had += count * each[of]
    return used / had if had else None


def _requested(cycle: Cycle, end: float) -> dict[str, float | None]:
    cores = cost.together(cycle.classes, lambda counts: math.fsum(n * use.pod.cores for use, n in counts))
    memory = cost.together(cycle.classes, lambda counts: math.fsum(n * use.pod.memory_gib for use, n in counts))
    return {
        "cores_most": cores.highest(end),
        "memory_gib_most": memory.highest(end),
        "core_hours": cores.integral(end) / SECONDS_PER_HOUR,
        "gib_hours": memory.integral(end) / SECONDS_PER_HOUR,
    }


def _within(result: Result, end: float, values: Numbers) -> list[float | None]:
    """Return the values of the seconds from the load's start to `end`."""
    return [value for second, value in zip(result.timeline.seconds, values, strict=False) if 0 <= second < end]
