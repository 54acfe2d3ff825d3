"""What pods cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.simulation.cost import (
    SECONDS_PER_MONTH,
    ClassUse,
    Cycle,
    NodeType,
    Pod,
    Prices,
    Steps,
    TaskUse,
    by_class,
    by_task,
    largest_volume,
    month,
    nodes_needed,
    rate_by_nodes,
    rate_by_requests,
    savings,
    volumes,
    with_tail,
)

PRICES = Prices(name="test", source="a test", currency="USD", cpu_core_hour=0.04, memory_gib_hour=0.005)
IO = ClassUse(
    name="io",
    pod=Pod(cores=0.5, memory_gib=4.0),
    minimum=1,
    replicas=Steps((0.0, 60.0, 960.0), (1.0, 4.0, 1.0), 3600.0),
)
CPU = ClassUse(name="cpu", pod=Pod(cores=1.0, memory_gib=2.0), minimum=2, replicas=Steps((0.0,), (2.0,), 3600.0))
CYCLE = Cycle(
    classes=(IO, CPU),
    tasks=(
        TaskUse(name="mail", worker_class="io", count=900, slot_seconds=1800.0, cpu_seconds=9.0),
        TaskUse(name="call", worker_class="io", count=100, slot_seconds=600.0, cpu_seconds=1.0),
        TaskUse(name="pdf", worker_class="cpu", count=10, slot_seconds=40.0, cpu_seconds=0.0),
    ),
    offered=1010,
    busy_seconds=120.0,
)


def test_a_class_costs_its_pods_time_at_what_they_request():
    io, cpu = by_class(CYCLE, PRICES)
    assert io.pod_hours == pytest.approx((60 + 4 * 900 + 2640) / 3600)
    assert io.cycle == pytest.approx(io.pod_hours * (0.5 * 0.04 + 4 * 0.005))
    assert cpu.cycle == pytest.approx(2 * (0.04 + 0.01))
    assert cpu.idle_month == pytest.approx(2 * 730 * 0.05)


def test_the_tasks_of_a_class_share_all_of_its_money():
    tasks = {task.name: task for task in by_task(CYCLE, PRICES)}
    io, cpu = by_class(CYCLE, PRICES)
    assert tasks["mail"].cycle + tasks["call"].cycle == pytest.approx(io.cycle)
    assert tasks["pdf"].cycle == pytest.approx(cpu.cycle)
    # nine tenths of the cores, three quarters of the memory
    assert tasks["mail"].cycle == pytest.approx(io.pod_hours * (0.9 * 0.02 + 0.75 * 0.02))
    assert tasks["mail"].per_thousand == pytest.approx(tasks["mail"].cycle / 0.9)


def test_a_month_is_the_minimum_and_what_each_cycle_adds():
    rate, idle = rate_by_requests(CYCLE, PRICES)
    added = 3 * 900 / 3600 * IO.pod.per_hour(PRICES)
    none, some = month(CYCLE, rate, idle, 0), month(CYCLE, rate, idle, 10 * CYCLE.offered)
    assert none.cost == pytest.approx(730 * (0.04 + 2 * 0.05))
    assert some.busy == pytest.approx(10 * added)
    assert some.feasible


def test_cycles_that_follow_closely_share_what_lies_between_them():
    rate, idle = rate_by_requests(CYCLE, PRICES)
    cycles = SECONDS_PER_MONTH / 500.0  # one each 500 s: the fourth replica never goes
    crowded = month(CYCLE, rate, idle, round(cycles * CYCLE.offered))
    assert crowded.busy == pytest.approx(cycles * 3 * 440 / 3600 * IO.pod.per_hour(PRICES), rel=1e-6)


def test_a_volume_that_a_month_does_not_hold_is_told():
    rate, idle = rate_by_requests(CYCLE, PRICES)
    most = largest_volume(CYCLE)
    assert month(CYCLE, rate, idle, most).feasible
    assert not month(CYCLE, rate, idle, most + CYCLE.offered).feasible


def test_nodes_are_as_many_as_hold_the_pods():
    node = NodeType(cores=2.0, memory_gib=8.0, per_hour=0.1)
    assert nodes_needed([(IO, 1.0), (CPU, 2.0)], node) == 2  # both cpu pods on one node, io needs 4 GiB of another
    assert nodes_needed([(IO, 4.0), (CPU, 2.0)], node) == 3
    rate, idle = rate_by_nodes(CYCLE, node)
    assert (rate.at(30.0), rate.at(100.0), idle) == (pytest.approx(0.2), pytest.approx(0.3), pytest.approx(0.2))


def test_a_pod_larger_than_the_node_is_refused():
    with pytest.raises(ValueError, match=r"a pod of io .* is larger than the node"):
        nodes_needed([(IO, 1.0)], NodeType(cores=8.0, memory_gib=2.0, per_hour=0.1))


def test_a_saving_needs_two_that_can_do_it():
    rate, idle = rate_by_requests(CYCLE, PRICES)
    half = [month(CYCLE, rate.mapped(lambda v: v / 2), idle / 2, v) for v in (0, 10**9)]
    whole = [month(CYCLE, rate, idle, v) for v in (0, 10**9)]
    first, second = savings(whole, half)
    assert first.share == pytest.approx(0.5)
    assert second.share is None


def test_a_measured_run_goes_on_with_its_tail():
    joined = with_tail(Steps((0.0, 60.0), (1.0, 4.0), 100.0), Steps((0.0, 900.0), (4.0, 1.0), 1000.0))
    assert joined.integral() == pytest.approx(60 + 4 * 940 + 100)
    assert joined.at(999.0) == 4.0
    assert joined.at(1001.0) == 1.0


def test_a_table_of_volumes_reaches_what_one_of_the_sets_can_do():
    assert volumes(given=None, offered=1010, largest={"a": 20_000, "b": 150_000}) == (0, 10_000, 100_000)
    assert volumes(given=5_000, offered=1010, largest={"a": 20_000}) == (0, 5_000, 10_000)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.floats(0, 100))
def test_samples_and_steps_have_the_same_integral(values, until):
    steps = Steps.sampled(values, every_seconds=1.0)
    exact = sum(value * max(0.0, min(1.0, until - index)) for index, value in enumerate(values))
    assert steps.integral(until) == pytest.approx(exact)
    assert [steps.at(index + 0.5) for index in range(len(values))] == values
