"""The coarse model's pods and autoscalers: the controller's own arithmetic on amounts. Plain Python, compilable."""

from __future__ import annotations

import math

from harness.autoscaling import kernel
from harness.simulation.fluid_state import MAX_COHORTS, State
from harness.simulation.fluid_tables import DEPTH, DOWN, DRAIN_TIME, NONE, UP, Curves, Records, Tables

NANOSECONDS = 1_000_000_000
NEGLIGIBLE_TASKS = 1e-9


# --- pods ----------------------------------------------------------------------------------------------------------


def grow_up(pool: Records, state: State, c: int, step: int, seconds: float) -> None:
    """Count the pods at work in this step; one that begins within it works for the rest of it."""
    at, now = state.pools[c], step * seconds
    grown = max(pool["start_seconds"], pool["ready_seconds"])
    serving, kept = float(at["mature"]), 0
    for i in range(at["cohorts"]):
        created, pods = state.cohorts[c, i]["at"], state.cohorts[c, i]["pods"]
        if now >= created + grown:
            at["mature"] += pods
            serving += pods
            continue
        serving += pods * min(1.0, max(0.0, (now + seconds - created - pool["start_seconds"]) / seconds))
        state.cohorts[c, kept]["at"], state.cohorts[c, kept]["pods"] = created, pods
        kept += 1
    at["cohorts"] = kept
    at["serving"] = serving


def ready_pods(pool: Records, state: State, c: int, now: float) -> int:
    """Return how many pods of a class are ready at a time in seconds."""
    ready: int = state.pools[c]["mature"]
    for i in range(state.pools[c]["cohorts"]):
        if now >= state.cohorts[c, i]["at"] + pool["ready_seconds"]:
            ready += state.cohorts[c, i]["pods"]
    return ready


def _set_replicas(state: State, c: int, replicas: int, now: float) -> None:
    """Make new pods, or take away the youngest."""
    at = state.pools[c]
    change = replicas - at["desired"]
    at["desired"] = replicas
    if change > 0:
        if at["cohorts"] == MAX_COHORTS:
            _forget_oldest(state, c)
        last = at["cohorts"]
        state.cohorts[c, last]["at"], state.cohorts[c, last]["pods"] = now, change
        at["cohorts"] += 1
        return
    left = -change
    while left > 0 and at["cohorts"] > 0:
        youngest = state.cohorts[c, at["cohorts"] - 1]
        taken = min(left, youngest["pods"])
        youngest["pods"] -= taken
        left -= taken
        if youngest["pods"] == 0:
            at["cohorts"] -= 1
    at["mature"] -= left


def _forget_oldest(state: State, c: int) -> None:
    """Take the oldest pods that are starting for ready: more groups are not told apart."""
    state.pools[c]["mature"] += state.cohorts[c, 0]["pods"]
    for i in range(1, MAX_COHORTS):
        state.cohorts[c, i - 1]["at"], state.cohorts[c, i - 1]["pods"] = (
            state.cohorts[c, i]["at"],
            state.cohorts[c, i]["pods"],
        )
    state.pools[c]["cohorts"] -= 1


# --- the autoscaler ------------------------------------------------------------------------------------------------


def sync(tables: Tables, state: State, curves: Curves, c: int, step: int) -> None:
    """Let a class's autoscaler decide once."""
    rule, at, seconds = tables.rules[c], state.pools[c], tables.grid[0]["seconds"]
    at["cpu_seen"] = at["cpu_sum"] / at["cpu_steps"] if at["cpu_steps"] > 0 else 0.0
    at["cpu_sum"], at["cpu_steps"] = 0.0, 0
    current = int(at["desired"])
    if rule["scaled"] == 0 or current == 0:
        return
    now = step * round(seconds * NANOSECONDS)
    if at["proposals"] == 0:
        _remember(state, c, current, now, NONE)
    if current > rule["maximum"] or current < rule["minimum"]:
        wanted = int(min(max(current, rule["minimum"]), rule["maximum"]))
    else:
        proposal = _proposal(tables, state, curves, c, step)
        if proposal == NONE:
            return
        wanted = _limited(tables, state, c, current, proposal, now)
    if wanted != current:
        _store_event(tables, state, c, wanted - current, now)
        _set_replicas(state, c, wanted, step * seconds)


def _proposal(tables: Tables, state: State, curves: Curves, c: int, step: int) -> int:
    """Return what the metrics ask for together; NONE where they say nothing."""
    rule, pool, current, wanted = tables.rules[c], tables.pools[c], int(state.pools[c]["desired"]), NONE
    ready = int(ready_pods(pool, state, c, step * tables.grid[0]["seconds"]))
    for t in range(rule["first_trigger"], rule["last_trigger"]):
        wanted = max(wanted, _by_trigger(tables, curves, rule, t, current, ready, step))
    by_cpu, by_memory = rule["cpu_percent"] != NONE, rule["memory_percent"] != NONE
    if ready == 0:
        return NONE if (by_cpu or by_memory) and wanted < current else wanted
    if by_cpu:
        used = int(state.pools[c]["cpu_seen"] * 1000.0)
        request, percent = int(pool["cpu_request_milli"]), int(rule["cpu_percent"])
        wanted = max(wanted, _by_resource(rule, current, ready, used, request, percent))
    if by_memory:
        busy = curves.pools[step - 1, c]["busy"] if step > 0 else 0.0
        used = int(1000.0 * (ready * pool["memory_bytes"] + busy * pool["memory_bytes_per_task"]))
        request, percent = int(pool["memory_request_milli"]), int(rule["memory_percent"])
        wanted = max(wanted, _by_resource(rule, current, ready, used, request, percent))
    return wanted


def _by_trigger(tables: Tables, curves: Curves, rule: Records, t: int, current: int, ready: int, step: int) -> int:
    total, target = _trigger_milli(tables, curves, t, step), int(tables.triggers[t]["target_milli"])
    down, up = rule["tolerance_down"], rule["tolerance_up"]
    if tables.triggers[t]["by_value"] == 1:
        return int(kernel.external_value_replicas(current, total, target, ready, down, up))
    return int(kernel.external_average_replicas(current, total, target, down, up))


def _by_resource(rule: Records, current: int, ready: int, used: int, request: int, percent: int) -> int:
    unready = max(current - ready, 0)
    down, up = rule["tolerance_down"], rule["tolerance_up"]
    asked = kernel.utilization_replicas(
        current, percent, ready, used, ready * request, 0, 0, 0, unready, unready * request, down, up
    )
    return int(asked)


def _trigger_milli(tables: Tables, curves: Curves, t: int, step: int) -> int:
    """Return what KEDA serves, of the broker's statistics as old as they are."""
    grid, trigger = tables.grid[0], tables.triggers[t]
    queue = tables.queues[trigger["queue"]]
    end = max(step - grid["statistics_lag"], 0)
    begin = max(end - grid["rate_steps"], 0)
    messages, came, went = 0.0, 0.0, 0.0
    for lane in range(queue["first"], queue["last"]):
        seen, before = curves.lanes[end, lane], curves.lanes[begin, lane]
        left = seen["done"] if trigger["reads"] == DEPTH else seen["started"]
        messages += seen["admitted"] - left - seen["expired"]
        came += seen["admitted"] - before["admitted"]
        went += seen["started"] - before["started"]
    if trigger["reads"] != DRAIN_TIME:
        return int(math.floor(max(messages, 0.0) + 0.5)) * 1000  # noqa: RUF046 - a float when compiled
    if went <= NEGLIGIBLE_TASKS:
        return 0
    seconds = (end - begin) * grid["seconds"]
    return max(int(((came - went) / went + messages * seconds / went) * 1000.0), 0)


def _limited(tables: Tables, state: State, c: int, current: int, proposal: int, now: int) -> int:
    """Hold a proposal to history, rates and bounds, as `harness.autoscaling.behavior.limit` does, and remember it."""
    rule, rates, count = tables.rules[c], tables.directions, state.pools[c]["proposals"]
    proposed, at = state.proposed[c, :count], state.proposed_at[c, :count]
    up_window, down_window = int(rates[c, UP]["window"]), int(rates[c, DOWN]["window"])
    low, high = int(rule["minimum"]), int(rule["maximum"])
    if rule["has_behavior"] == 0:
        held = int(kernel.stabilized_legacy(proposal, now, down_window, proposed, at))
        _remember(state, c, proposal, now, down_window)
        return max(min(held, high, int(kernel.legacy_growth_limit(current))), low)
    held = int(kernel.stabilized(current, proposal, now, up_window, down_window, proposed, at))
    _remember(state, c, proposal, now, max(up_window, down_window))
    if held == current:
        return held
    allowed = _rate_limit(tables, state, c, current, now, held > current)
    return min(held, allowed, high) if held > current else max(held, allowed, low)


def _rate_limit(tables: Tables, state: State, c: int, current: int, now: int, up: bool) -> int:
    d = UP if up else DOWN
    rates, policies = tables.directions[c, d], tables.policies
    used, ups, downs = rates["policies"], state.events[c, UP], state.events[c, DOWN]
    allowed, _ = kernel.rate_limit(
        up, current, now, int(rates["select"]),
        policies.kind[c, d, :used], policies.value[c, d, :used], policies.period[c, d, :used],
        state.event_change[c, UP, :ups], state.event_at[c, UP, :ups],
        state.event_change[c, DOWN, :downs], state.event_at[c, DOWN, :downs],
    )  # fmt: skip
    return int(allowed)


def _remember(state: State, c: int, proposal: int, now: int, window: int) -> None:
    count = state.pools[c]["proposals"]
    slot = NONE if window == NONE else kernel.last_older(state.proposed_at[c, :count], now - window)
    if slot < 0:
        slot = count
        state.pools[c]["proposals"] += 1
    state.proposed[c, slot], state.proposed_at[c, slot] = proposal, now


def _store_event(tables: Tables, state: State, c: int, change: int, now: int) -> None:
    """Remember a rescale for the rate policies; without behavior nothing is remembered."""
    if tables.rules[c]["has_behavior"] == 0:
        return
    d = UP if change > 0 else DOWN
    count = state.events[c, d]
    slot = kernel.last_older(state.event_at[c, d, :count], now - int(tables.directions[c, d]["longest"]))
    if slot < 0:
        slot = count
        state.events[c, d] += 1
    state.event_change[c, d, slot], state.event_at[c, d, slot] = abs(change), now


def keda_zero(tables: Tables, state: State, curves: Curves, c: int, step: int) -> None:
    """Take the last pod of an idle class away, and make the first of one that has something to do."""
    rule, at = tables.rules[c], state.pools[c]
    if rule["to_zero"] == 0 or step % rule["polling_steps"] != 0:
        return
    active = False
    for t in range(rule["first_trigger"], rule["last_trigger"]):
        if _trigger_milli(tables, curves, t, step) > 0:
            active = True
    if active:
        at["last_active"] = step
        if at["desired"] == 0:
            _set_replicas(state, c, 1, step * tables.grid[0]["seconds"])
    elif at["desired"] > 0 and step - at["last_active"] > rule["cooldown_steps"]:
        _set_replicas(state, c, 0, step * tables.grid[0]["seconds"])
