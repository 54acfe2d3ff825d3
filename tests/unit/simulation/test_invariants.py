"""What holds in every run, whatever the plant: of the compiled kernel, which test_compiled holds to its source."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.simulation import DONE, DROPPED, EXPIRED, FAILED, OPEN, REFUSED, Fixed, Load, Plant, Trace
from tests.unit.simulation.plants import keda_scaler, load, plant, publisher, run, task, worker_class
from tests.unit.simulation.strategies import DUES, SERVICES, plain_plants_and_loads, plants_and_loads

pytestmark = [pytest.mark.xdist_group("compiled-simulation"), pytest.mark.timeout(600)]  # compiling takes long

EXAMPLES = settings(max_examples=settings.default.max_examples // 4)
LIMIT_SECONDS = 200.0


def same(one: Trace, other: Trace, *, rounding: bool = False) -> None:
    """Assert that two traces are equal, to the bit or but for rounding in what was added up."""
    for field in fields(Trace):
        left, right = getattr(one, field.name), getattr(other, field.name)
        pairs = [(left[key], right[key]) for key in left] if isinstance(left, dict) else [(left, right)]
        for a, b in pairs:
            if rounding and field.name in ("cpu_cores", "host_cores", "busy_slots", "memory_bytes", "replica_seconds"):
                np.testing.assert_allclose(a, b, atol=1e-9, err_msg=field.name)
            else:
                np.testing.assert_array_equal(a, b, err_msg=field.name)


@EXAMPLES
@given(plants_and_loads(), st.integers(0, 2**32 - 1))
def test_every_task_has_one_state_and_the_sums_are_right(case: tuple[Plant, Load], seed: int) -> None:
    what, offered = case
    trace = run(what, offered, seed=seed, limit_seconds=LIMIT_SECONDS, compiled=True)
    counts = np.bincount(trace.state, minlength=6)
    assert counts.sum() == len(offered.due_seconds)
    assert (~np.isnan(trace.done)).sum() == counts[DONE]
    assert trace.refusals.sum() == len(trace.refused_at) == len(trace.refused_task)
    assert trace.refused_stored <= counts[REFUSED]
    assert trace.limit_reached == bool(counts[OPEN])
    assert all((trace.refused_at[1:] >= trace.refused_at[:-1]).tolist())
    if not trace.limit_reached:  # nothing is left anywhere at the end
        assert all(samples[-1] == 0 for samples in (*trace.ready.values(), *trace.unacked.values()))
        taken = ~np.isnan(trace.accepted)
        assert taken.sum() == counts[[DONE, EXPIRED, FAILED, DROPPED]].sum()


@EXAMPLES
@given(plants_and_loads(), st.integers(0, 2**32 - 1))
def test_time_goes_forward(case: tuple[Plant, Load], seed: int) -> None:
    what, offered = case
    trace = run(what, offered, seed=seed, limit_seconds=LIMIT_SECONDS, compiled=True)
    pairs = ((offered.due_seconds, trace.first_attempt), (trace.first_attempt, trace.accepted))
    for earlier, later in (*pairs, (trace.first_attempt, trace.started), (trace.started, trace.done)):
        both = ~np.isnan(earlier) & ~np.isnan(later)
        assert (earlier[both] <= later[both]).all()
    assert (np.diff(trace.seconds) == 1).all()


@EXAMPLES
@given(plants_and_loads(), st.integers(0, 2**32 - 1))
def test_no_limit_is_passed(case: tuple[Plant, Load], seed: int) -> None:
    what, offered = case
    trace = run(what, offered, seed=seed, limit_seconds=LIMIT_SECONDS, compiled=True)
    if trace.repeated == 0:  # what is delivered again comes back above the limit
        for queue in what.queues:
            if queue.max_length_messages is not None:
                assert trace.ready[queue.name].max() <= queue.max_length_messages
    for each in what.classes:
        # A pod that drains works on beside its successors, at most until its grace is over.
        most = max(trace.desired[each.deployment].max(), each.replicas)
        drains = any(step.after < step.before for step in trace.steps)
        assert drains or trace.busy_slots[each.name].max() <= most * each.slots + 1e-9
        assert (trace.running[each.deployment] == trace.desired[each.deployment]).all()
        assert (trace.pods_ready[each.deployment] <= trace.running[each.deployment]).all()


@EXAMPLES
@given(plants_and_loads(), st.integers(0, 2**32 - 1))
def test_the_same_seed_gives_the_same_trace(case: tuple[Plant, Load], seed: int) -> None:
    what, offered = case
    same(
        run(what, offered, seed=seed, limit_seconds=LIMIT_SECONDS, compiled=True),
        run(what, offered, seed=seed, limit_seconds=LIMIT_SECONDS, compiled=True),
    )


@EXAMPLES
@given(DUES, SERVICES, st.integers(1, 4))
def test_without_priorities_tasks_begin_in_their_order(dues: list[float], service: Any, slots: int) -> None:
    trace = run(plant(worker_class(slots=slots, replicas=2)), load(dues, task(service)), events=True)
    assert (np.diff(trace.started) >= 0).all()


@EXAMPLES
@given(DUES, SERVICES, st.integers(1, 4))
def test_more_replicas_never_drain_later(dues: list[float], service: Any, replicas: int) -> None:
    few, more = (
        run(plant(worker_class(replicas=count)), load(dues, task(service)), events=True).end_seconds
        for count in (replicas, replicas + 1)
    )
    assert more <= few


@EXAMPLES
@given(DUES, st.integers(1, 7))
def test_replicas_stay_between_their_bounds_and_jump_only_at_syncs(dues: list[float], maximum: int) -> None:
    pod = worker_class(scaler=keda_scaler(depth=1, maximum=maximum))
    trace = run(plant(pod), load(dues, task(5)), limit_seconds=400 + 5 * len(dues), to_the_limit=True)
    assert 1 <= trace.desired["w"].min() <= trace.desired["w"].max() <= maximum
    assert all((step.t - 14.5) % 15 == 0 for step in trace.steps)
    assert trace.desired["w"][-1] == 1  # the backlog is long gone


@given(plain_plants_and_loads(), st.integers(0, 2**32 - 1), st.sampled_from([3.0, 17.5, 31.7, 1000.0]), st.booleans())
def test_the_short_way_gives_the_trace_of_the_long_one(
    case: tuple[Plant, Load], seed: int, limit: float, on: bool
) -> None:
    what, offered = case
    short, long = (
        run(what, offered, seed=seed, limit_seconds=limit, to_the_limit=on, events=events) for events in (False, True)
    )
    same(short, long, rounding=True)


@EXAMPLES
@given(DUES)
def test_half_the_speed_takes_twice_the_time(dues: list[float]) -> None:
    """Everything scales: all times and rates of a plant by two give the same run in slow motion."""
    offers = publisher(attempts_per_second=50)
    fast = run(plant(offers=offers), load(dues, task(1, cpu_seconds=0.5)))
    slow = run(
        plant(worker_class(cpu_cores=0.5), offers=replace(offers, attempts_per_second=25)),
        load([2 * at for at in dues], task(Fixed(2.0), cpu_seconds=0.5)),
    )
    # The publisher's allowance after a pause (0.1 s of its pace) is a fixed time, hence the tolerance.
    np.testing.assert_allclose(slow.done, 2 * fast.done, atol=0.2)
