"""What a budget buys of a set of values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.compare.budget import Budget, Worker, pods_within, requested, slots, smallest
from harness.simulation.cost import Pod

# The old way's four and the new way's three classes, with the work of a load that mostly waits.
OLD = [
    Worker(name=name, pod=Pod(cores=1, memory_gib=16), minimum=1, maximum=4, concurrency=8, work_seconds=work)
    for name, work in (("bulk-upload", 100), ("enrichment", 1), ("ai", 400), ("default", 4000))
]
NEW = [
    Worker(name="io", pod=Pod(cores=0.2, memory_gib=2), minimum=1, maximum=5, concurrency=200, work_seconds=3300),
    Worker(name="cpu", pod=Pod(cores=1, memory_gib=2), minimum=1, maximum=3, concurrency=4, work_seconds=700),
    Worker(name="mixed", pod=Pod(cores=0.5, memory_gib=1), minimum=1, maximum=2, concurrency=16, work_seconds=600),
]


def test_the_old_ways_minimum_is_a_budget_that_buys_nothing_more_of_it() -> None:
    budget = smallest(OLD)
    assert budget == Budget(cores=4, memory_gib=64)
    assert pods_within(OLD, budget) == dict.fromkeys(("bulk-upload", "enrichment", "ai", "default"), 1)


def test_the_same_budget_goes_to_the_classes_whose_slots_have_most_to_do() -> None:
    pods = pods_within(NEW, smallest(OLD))
    # cpu first (175 s a slot), until the next of it does not fit; 0.3 cores are left then, for one more io.
    assert pods == {"io": 2, "cpu": 3, "mixed": 1}
    assert requested(NEW, pods) == Budget(cores=pytest.approx(3.9), memory_gib=11)
    assert slots(NEW, pods) == 2 * 200 + 3 * 4 + 16


def test_a_sum_of_fractions_that_is_just_the_budget_fits() -> None:
    tenths = [Worker(name="a", pod=Pod(cores=0.1, memory_gib=0.1), minimum=0, maximum=9, concurrency=1, work_seconds=1)]
    assert pods_within(tenths, Budget(cores=0.3, memory_gib=1)) == {"a": 3}


def test_memory_binds_as_cores_do() -> None:
    assert sum(pods_within(OLD, Budget(cores=100, memory_gib=80)).values()) == 5
    assert pods_within(OLD, Budget(cores=100, memory_gib=80))["default"] == 2


def test_a_class_that_may_scale_to_none_needs_one_pod_all_the_same() -> None:
    asleep = Worker(name="a", pod=Pod(cores=1, memory_gib=1), minimum=0, maximum=3, concurrency=1, work_seconds=0)
    assert smallest([asleep]) == Budget(cores=1, memory_gib=1)


def test_a_minimum_that_does_not_fit_is_refused_with_both_figures() -> None:
    with pytest.raises(ValueError, match=r"requests 4 cores and 64 GiB, the budget has 4 and 63"):
        pods_within(OLD, Budget(cores=4, memory_gib=63))


workers = st.lists(
    st.builds(
        lambda name, cores, memory, minimum, more, slots, work: Worker(
            name=str(name),
            pod=Pod(cores=cores / 20, memory_gib=memory / 4),
            minimum=minimum,
            maximum=max(1, minimum) + more,
            concurrency=slots,
            work_seconds=work,
        ),
        st.integers(0, 99),
        st.integers(1, 60),
        st.integers(1, 80),
        st.integers(0, 3),
        st.integers(0, 6),
        st.integers(1, 200),
        st.integers(0, 5000),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda one: one.name,
)


@given(workers, st.floats(1, 4), st.floats(1, 4))
def test_a_budget_is_never_exceeded_and_nothing_that_fits_is_left(
    found: list[Worker], more_cores: float, more_memory: float
) -> None:
    least = smallest(found)
    budget = Budget(cores=least.cores * more_cores, memory_gib=least.memory_gib * more_memory)
    pods = pods_within(found, budget)
    assert budget.holds(requested(found, pods))
    for one in found:
        assert one.least <= pods[one.name] <= max(one.least, one.maximum)
        another = requested(found, {**pods, one.name: pods[one.name] + 1})
        assert pods[one.name] >= one.maximum or not budget.holds(another)


@given(workers, st.floats(1, 3))
def test_the_order_of_the_classes_changes_nothing_but_draws(found: list[Worker], more: float) -> None:
    least = smallest(found)
    budget = Budget(cores=least.cores * more, memory_gib=least.memory_gib * more)
    distinct = [
        Worker(
            name=one.name, pod=one.pod, minimum=one.minimum, maximum=one.maximum, concurrency=1,
            work_seconds=float(97 ** (index + 1)),
        )
        for index, one in enumerate(found)
    ]  # fmt: skip
    assert pods_within(distinct, budget) == pods_within(distinct[::-1], budget)
