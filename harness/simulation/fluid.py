"""The coarse model: amounts instead of tasks, in steps of up to one sync of the autoscaler.

For choosing among thousands of settings; what it chose is to be verified task by task. `run` is plain Python, and the
reference; `fluid_model.compiled` gives the same source compiled. What it leaves out: failures and retries but for their
mean work, nodes' room and shared cores, images to pull, pods that outlive their replica while they finish, chance.
"""

from __future__ import annotations

from harness.simulation import fluid_scaling as scaling
from harness.simulation.fluid_state import State
from harness.simulation.fluid_tables import NONE, Curves, Records, Tables

NEGLIGIBLE_TASKS = 1e-9
MAX_TURNS = 8
"""How often a long step may empty a queue and fill it again."""


def run(tables: Tables, state: State, curves: Curves) -> int:
    """Step through the load, write the curves, and return how many steps that took.

    Nothing is allocated here, so the compiled form need not count references.
    """
    grid, pools, slot = tables.grid[0], tables.pools, -1
    for step in range(grid["steps"]):
        if (step - grid["first_sync"]) % grid["sync_every"] == 0:
            for c in range(len(pools)):
                scaling.sync(tables, state, curves, c, step)
        for c in range(len(pools)):
            scaling.keda_zero(tables, state, curves, c, step)
            scaling.grow_up(pools[c], state, c, step, grid["seconds"])
            seen = curves.pools[step, c]
            seen["replicas"] = state.pools[c]["desired"]
            seen["ready"] = scaling.ready_pods(pools[c], state, c, step * grid["seconds"])
        _offer(tables, state, curves, step)
        slot = _later(slot, 1, state.ending.shape[1])
        for c in range(len(pools)):
            _work(tables, state, curves, c, step, slot)
        if grid["stop_when_quiet"] == 1 and _quiet(tables, state, step):
            return step + 1
    return int(grid["steps"])


def _later(slot: int, steps: int, slots: int) -> int:
    """Return the place of a later step in the ring; at most one round, and no division, which would cost the most."""
    later = slot + steps
    return later if later < slots else later - slots


def _offer(tables: Tables, state: State, curves: Curves, step: int) -> None:
    """Make the first attempts that are due, as many as the publisher's pace allows, and give up what is too old."""
    grid, due = tables.grid[0], 0.0
    for lane in range(len(state.lanes)):
        state.lanes[lane]["unoffered"] += tables.arrivals[step, lane]
        due += state.lanes[lane]["unoffered"]
    share = 1.0 if due <= grid["attempts"] else grid["attempts"] / due
    since = step - grid["deadline_steps"]
    for lane in range(len(state.lanes)):
        at, before, after = state.lanes[lane], curves.lanes[step, lane], curves.lanes[step + 1, lane]
        offered = at["unoffered"] * share
        at["unoffered"] -= offered
        after["offered"] = before["offered"] + offered
        after["admitted"] = before["admitted"]
        after["started"] = before["started"]
        after["done"] = before["done"]
        after["expired"] = before["expired"]
        after["given_up"] = before["given_up"]
        if since >= 0 and at["held"] > 0.0:
            old = curves.lanes[since, lane]["offered"] - (before["offered"] - at["held"])
            late = min(max(old, 0.0), at["held"])
            at["held"] -= late
            after["given_up"] += late


def _work(tables: Tables, state: State, curves: Curves, c: int, step: int, slot: int) -> None:
    """End what ends in this step, then admit and start by turns until neither slots nor tasks are left."""
    queues, pool, serving = tables.queues, tables.pools[c], state.pools[c]["serving"]
    free, cores = serving * pool["slots"], serving * (pool["cores"] - pool["idle_cores"])
    for lane in range(queues[pool["first"]]["first"], queues[pool["last"] - 1]["last"]):
        at, ended = state.lanes[lane], state.ending[lane, slot]
        state.ending[lane, slot] = 0.0
        at["busy"] -= ended
        curves.lanes[step + 1, lane]["done"] += ended
        free -= at["busy"]
        cores -= at["busy"] * tables.lanes[lane]["cpu_cores"]
    left = 0.0
    for q in range(pool["first"], pool["last"]):
        _expire(queues[q], state, curves, step)
        left += _admit(queues[q], state, curves, q, step, True)
    for _ in range(MAX_TURNS):
        started, free, cores = _serve(tables, state, curves, pool, step, slot, free, cores)
        if left <= NEGLIGIBLE_TASKS:
            break
        left = 0.0
        for q in range(pool["first"], pool["last"]):
            left += _admit(queues[q], state, curves, q, step, False)
        if started <= NEGLIGIBLE_TASKS:
            break
    _note(tables, state, curves, c, step)


def _expire(queue: Records, state: State, curves: Curves, step: int) -> None:
    """Take out what waits longer than the queue lets it."""
    since = step - queue["ttl_steps"]
    if queue["ttl_steps"] == NONE or since < 0:
        return
    for lane in range(queue["first"], queue["last"]):
        at = state.lanes[lane]
        if at["waiting"] <= 0.0:
            continue
        old = curves.lanes[since, lane]["admitted"] - (curves.lanes[step, lane]["admitted"] - at["waiting"])
        late = min(max(old, 0.0), at["waiting"])
        at["waiting"] -= late
        curves.lanes[step + 1, lane]["expired"] += late


def _admit(queue: Records, state: State, curves: Curves, q: int, step: int, first: bool) -> float:
    """Let the queue take what it has room for, kept tasks and (`first`) those offered now; return what is kept."""
    room, wanted, fresh = queue["limit"], 0.0, 0.0
    for lane in range(queue["first"], queue["last"]):
        room -= state.lanes[lane]["waiting"]
        wanted += state.lanes[lane]["held"]
        if first:
            fresh += _offered_now(curves, step, lane)
    room = max(room, 0.0)  # what was delivered again may wait above the limit, and so may what rounding has left
    share = 1.0 if wanted + fresh <= room else room / (wanted + fresh)
    if first:
        curves.queues[step, q]["refused"] = fresh * (1.0 - share)
    left = 0.0
    for lane in range(queue["first"], queue["last"]):
        at, after = state.lanes[lane], curves.lanes[step + 1, lane]
        asking = at["held"] + (_offered_now(curves, step, lane) if first else 0.0)
        taken = asking * share
        at["waiting"] += taken
        after["admitted"] += taken
        kept = asking - taken
        if queue["keeps_refused"] == 1:
            after["given_up"] += kept
            kept = 0.0
        at["held"] = kept
        left += kept
    return left


def _offered_now(curves: Curves, step: int, lane: int) -> float:
    now: float = curves.lanes[step + 1, lane]["offered"] - curves.lanes[step, lane]["offered"]
    return now


def _serve(
    tables: Tables, state: State, curves: Curves, pool: Records, step: int, slot: int, free: float, cores: float
) -> tuple[float, float, float]:
    """Start what free slots and cores allow; queues share by what they ask for, within one the highest priority first.

    What counts is what a start still holds at the step's end: a slot may serve several short tasks within one.
    Returns the tasks started, and what is left of slots and cores.
    """
    alone, asked = pool["last"] == pool["first"] + 1, 0.0
    for q in range(pool["first"], pool["last"]):
        asked += 0.0 if alone else _asked(tables, state, q)
    started, left_slots, left_cores = 0.0, free, cores
    for q in range(pool["first"], pool["last"]):
        share = 1.0 if alone else _asked(tables, state, q) / max(asked, NEGLIGIBLE_TASKS)
        slots, power = max(free, 0.0) * share, max(cores, 0.0) * share
        for lane in range(tables.queues[q]["first"], tables.queues[q]["last"]):
            count = state.lanes[lane]["waiting"]
            if count <= 0.0:
                continue
            held = max(tables.lanes[lane]["running"], NEGLIGIBLE_TASKS)
            used = held * tables.lanes[lane]["cpu_cores"]
            if count * held > slots:
                count = slots / held
            if count * used > power:
                count = power / used
            # Never less than none, not even by rounding: a lane that computes nothing would divide by what it uses.
            slots = max(slots - count * held, 0.0)
            power = max(power - count * used, 0.0)
            left_slots -= count * held
            left_cores -= count * used
            started += count
            _begin(tables, state, curves, lane, step, slot, count)
    return started, left_slots, left_cores


def _asked(tables: Tables, state: State, q: int) -> float:
    total = 0.0
    for lane in range(tables.queues[q]["first"], tables.queues[q]["last"]):
        total += state.lanes[lane]["waiting"] * max(tables.lanes[lane]["running"], NEGLIGIBLE_TASKS)
    return total


def _begin(tables: Tables, state: State, curves: Curves, lane: int, step: int, slot: int, count: float) -> None:
    at, after = state.lanes[lane], curves.lanes[step + 1, lane]
    at["waiting"] -= count
    after["started"] += count
    for number in range(tables.lanes[lane]["taps"]):
        tap = tables.taps[lane, number]
        part = count * tap["share"]
        if tap["at"] == 0:
            after["done"] += part
        else:
            at["busy"] += part
            state.ending[lane, _later(slot, tap["at"], state.ending.shape[1])] += part


def _note(tables: Tables, state: State, curves: Curves, c: int, step: int) -> None:
    """Write down the step's end, and the CPU it took."""
    pool, at = tables.pools[c], state.pools[c]
    used, busy = at["serving"] * pool["idle_cores"], 0.0
    for q in range(pool["first"], pool["last"]):
        waiting = 0.0
        for lane in range(tables.queues[q]["first"], tables.queues[q]["last"]):
            waiting += state.lanes[lane]["waiting"]
            busy += state.lanes[lane]["busy"]
            used += state.lanes[lane]["busy"] * tables.lanes[lane]["cpu_cores"]
        curves.queues[step, q]["waiting"] = waiting
    curves.pools[step, c]["busy"] = busy
    at["cpu_sum"] += used
    at["cpu_steps"] += 1


def _quiet(tables: Tables, state: State, step: int) -> bool:
    for c in range(len(state.pools)):
        if tables.rules[c]["scaled"] == 1 and state.pools[c]["desired"] > tables.rules[c]["minimum"]:
            return False
    for lane in range(len(state.lanes)):
        at = state.lanes[lane]
        if at["unoffered"] + at["held"] + at["waiting"] + at["busy"] > NEGLIGIBLE_TASKS:
            return False
    for later in range(step + 1, len(tables.arrivals)):
        for lane in range(len(state.lanes)):
            if tables.arrivals[later, lane] > 0.0:
                return False
    return True
