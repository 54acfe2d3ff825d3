"""A day of one autoscaler's decisions, its pods taken together by their state or one by one.

The formulas are `harness.autoscaling.kernel`'s; here is what `harness.autoscaling.hpa`, `metrics` and `behavior` do
with them, on arrays. The replicas start at the minimum.
"""

from __future__ import annotations

from typing import Any

from harness.autoscaling import kernel
from harness.simulation.kernel.rules import Autoscaler, Memory, Workload

RECOMMENDED, ADDED, REMOVED = range(3)
COHORT, CREATED = range(2)


def day_by_state(scaler: Autoscaler, load: Workload, demand_milli: Any, memory: Memory, cohorts: Any, out: Any) -> None:
    """Write the replicas after each sync; pods created together are one row of `cohorts` (pods, created)."""
    count, rows = scaler.minimum, 1
    cohorts[0, COHORT], cohorts[0, CREATED] = count, kernel.NEVER
    for step in range(len(demand_milli)):
        now = step * load.sync
        rows = _merge_settled(scaler, load, cohorts, rows, now)
        up = 0
        for row in range(rows):
            if cohorts[row, CREATED] + load.boot <= now:
                up += cohorts[row, COHORT]
        usage = _usage(load, demand_milli[step], up)
        ready, unready = 0, 0
        for row in range(rows):
            if _counts(scaler, load, cohorts[row, CREATED], now):
                ready += cohorts[row, COHORT]
            else:
                unready += cohorts[row, COHORT]
        wanted = _decide(scaler, load, memory, count, ready, ready * usage, unready, now)
        rows = _resize(cohorts, rows, wanted - count, now)
        count = wanted
        out[step] = count


def day_by_pod(scaler: Autoscaler, load: Workload, demand_milli: Any, memory: Memory, created: Any, out: Any) -> None:
    """Write the replicas after each sync; `created` has a row for each pod there may be."""
    count = scaler.minimum
    for p in range(count):
        created[p] = kernel.NEVER
    for step in range(len(demand_milli)):
        now = step * load.sync
        up = 0
        for p in range(count):
            if created[p] + load.boot <= now:
                up += 1
        usage = _usage(load, demand_milli[step], up)
        ready, ready_usage, unready = 0, 0, 0
        for p in range(count):
            if _counts(scaler, load, created[p], now):
                ready += 1
                ready_usage += usage
            else:
                unready += 1
        wanted = _decide(scaler, load, memory, count, ready, ready_usage, unready, now)
        for p in range(count, wanted):  # the youngest are the last, and the first to go
            created[p] = now
        count = wanted
        out[step] = count


def _merge_settled(scaler: Autoscaler, load: Workload, cohorts: Any, rows: int, now: int) -> int:
    """Make the two oldest cohorts one for as long as nothing tells them apart any more."""
    age = max(scaler.initialization, load.boot + load.sample_age + load.sample_window)
    while rows > 1 and cohorts[1, CREATED] + age <= now:
        cohorts[1, COHORT] += cohorts[0, COHORT]
        for row in range(1, rows):
            cohorts[row - 1, COHORT] = cohorts[row, COHORT]
            cohorts[row - 1, CREATED] = cohorts[row, CREATED]
        rows -= 1
    return rows


def _resize(cohorts: Any, rows: int, change: int, now: int) -> int:
    if change > 0:
        cohorts[rows, COHORT], cohorts[rows, CREATED] = change, now
        return rows + 1
    left = -change
    while left > 0:
        taken = min(left, cohorts[rows - 1, COHORT])
        cohorts[rows - 1, COHORT] -= taken
        left -= taken
        if cohorts[rows - 1, COHORT] == 0 and rows > 1:
            rows -= 1
    return rows


def _usage(load: Workload, demand_milli: int, up: int) -> int:
    """Return what each pod that is ready uses."""
    return min(demand_milli // up, load.limit_milli) if up > 0 else 0


def _counts(scaler: Autoscaler, load: Workload, created: int, now: int) -> bool:
    ready_at = created + load.boot
    ready = ready_at <= now
    return not kernel.cpu_untrusted(
        ready,
        created,
        ready_at if ready else created,
        now - load.sample_age,
        load.sample_window,
        now,
        scaler.initialization,
        scaler.readiness_delay,
    )


def _decide(
    scaler: Autoscaler, load: Workload, memory: Memory, count: int, ready: int, usage: int, unready: int, now: int
) -> int:
    """Return the replicas this sync sets, and remember."""
    if memory.used[RECOMMENDED] == 0:
        _remember(memory.wanted, memory.wanted_at, memory.used, RECOMMENDED, count, now, kernel.NEVER)
    if ready == 0:
        return count
    wanted = kernel.utilization_replicas(
        count,
        scaler.target_percent,
        ready,
        usage,
        ready * load.request_milli,
        0,
        0,
        0,
        unready,
        unready * load.request_milli,
        scaler.tolerance_down,
        scaler.tolerance_up,
    )
    held = _hold(scaler, memory, count, max(wanted, 0), now)
    if held > count:
        cutoff = now - scaler.up.longest
        _remember(memory.added, memory.added_at, memory.used, ADDED, held - count, now, cutoff)
    elif held < count:
        cutoff = now - scaler.down.longest
        _remember(memory.removed, memory.removed_at, memory.used, REMOVED, count - held, now, cutoff)
    return held


def _hold(scaler: Autoscaler, memory: Memory, count: int, wanted: int, now: int) -> int:
    """Hold a proposal to the history, the rates and the bounds."""
    used = memory.used
    held = kernel.stabilized(
        count,
        wanted,
        now,
        scaler.up.window,
        scaler.down.window,
        memory.wanted[: used[RECOMMENDED]],
        memory.wanted_at[: used[RECOMMENDED]],
    )
    cutoff = now - max(scaler.up.window, scaler.down.window)
    _remember(memory.wanted, memory.wanted_at, used, RECOMMENDED, wanted, now, cutoff)
    if held == count:
        return held
    rules = scaler.up if held > count else scaler.down
    edge = kernel.rate_limit(
        held > count,
        count,
        now,
        rules.select,
        rules.kinds,
        rules.values,
        rules.periods,
        memory.added[: used[ADDED]],
        memory.added_at[: used[ADDED]],
        memory.removed[: used[REMOVED]],
        memory.removed_at[: used[REMOVED]],
    )[0]
    if held > count:
        return min(held, min(scaler.maximum, edge))
    return max(held, max(scaler.minimum, edge))


def _remember(values: Any, times: Any, used: Any, which: int, value: int, now: int, cutoff: int) -> None:
    """Put an entry into the last slot from before `cutoff`, else behind the others."""
    slot = kernel.last_older(times[: used[which]], cutoff)
    if slot < 0:
        slot = used[which]
        used[which] += 1
    values[slot] = value
    times[slot] = now
