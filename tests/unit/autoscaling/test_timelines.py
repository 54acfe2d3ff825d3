"""Whole scale-ups and scale-downs worked out by hand."""

import pytest

from tests.unit.autoscaling.builders import changes, external, hpa, queue_run, rules

FLOOD = 1_000_000
QUEUE = external(average="200")


def scale_up(*policies, select=None, maximum=10):
    return hpa(QUEUE, behavior={"scaleUp": rules(*policies, select=select)}, maximum=maximum)


def test_io_class_takes_three_pods_a_minute():
    spec = scale_up(("Pods", 3, 60), ("Percent", 100, 120))
    assert changes(queue_run(spec, FLOOD, syncs=12)) == [(0, 4), (60, 7), (120, 10)]


def test_io_class_with_select_min_takes_the_slower_policy():
    spec = scale_up(("Pods", 3, 60), ("Percent", 100, 120), select="Min")
    assert changes(queue_run(spec, FLOOD, syncs=12)) == [(0, 2), (120, 4)]


def test_io_class_of_prod_asks_for_the_fifth_pod_after_a_minute():
    spec = scale_up(("Pods", 3, 60), ("Percent", 100, 120), maximum=5)
    assert changes(queue_run(spec, FLOOD, syncs=12)) == [(0, 4), (60, 5)]


def test_cpu_class_takes_two_pods_in_two_minutes():
    assert changes(queue_run(scale_up(("Pods", 2, 120)), FLOOD, syncs=10)) == [(0, 3), (120, 5)]


def test_mixed_class_takes_two_pods_in_ninety_seconds():
    assert changes(queue_run(scale_up(("Pods", 2, 90)), FLOOD, syncs=8)) == [(0, 3), (90, 5)]


def test_default_behavior_doubles_every_sync_and_takes_at_least_four():
    spec = hpa(QUEUE, behavior={}, maximum=80)
    assert [decision.desired for decision in queue_run(spec, FLOOD, syncs=6)] == [5, 10, 20, 40, 80, 80]


def test_without_behavior_one_sync_may_double_or_reach_four():
    spec = hpa(QUEUE, maximum=80)
    assert [decision.desired for decision in queue_run(spec, FLOOD, syncs=7)] == [4, 8, 16, 32, 64, 80, 80]


def test_disabled_direction_stands_still():
    spec = scale_up(("Pods", 3, 60), select="Disabled")
    decisions = queue_run(spec, FLOOD, syncs=8)
    assert changes(decisions) == []
    assert decisions[0].limited_by == "scaling up is disabled"


def test_one_pod_every_ten_minutes_down_after_fifteen():
    """Load stops at 60 s: the last high proposal leaves the 900 s window with the sync at 945 s."""
    spec = hpa(QUEUE, maximum=5, behavior={"scaleDown": rules(("Pods", 1, 600), window=900)})
    decisions = queue_run(spec, lambda now: FLOOD if now < 60 else 0, syncs=200)
    assert changes(decisions) == [(0, 5), (945, 4), (1545, 3), (2145, 2), (2745, 1)]


def test_downscale_window_defaults_to_five_minutes():
    spec = hpa(QUEUE, behavior={}, maximum=5)
    decisions = queue_run(spec, lambda now: FLOOD if now < 15 else 0, syncs=40)
    assert changes(decisions) == [(0, 5), (300, 1)]


def test_without_behavior_a_proposal_as_old_as_the_window_still_holds():
    spec = hpa(QUEUE, maximum=4)
    decisions = queue_run(spec, lambda now: FLOOD if now < 15 else 0, syncs=40)
    assert changes(decisions) == [(0, 4), (315, 1)]


def test_up_window_waits_for_the_lowest_proposal_of_the_window():
    """The replicas found at the first sync count as its first proposal, and leave a 60 s window at 60 s."""
    spec = hpa(QUEUE, behavior={"scaleUp": rules(("Pods", 100, 15), window=60)}, maximum=50)
    assert changes(queue_run(spec, 2000, syncs=10)) == [(60, 10)]


def test_first_sync_counts_the_replicas_found_as_a_proposal():
    """Ten pods, no load, no history: still held for the whole window."""
    spec = hpa(QUEUE, behavior={}, maximum=50)
    assert changes(queue_run(spec, 0, syncs=25, replicas=10)) == [(300, 1)]


@pytest.mark.parametrize("start", [0.0, 0.1, 1_790_000_000.7])
def test_edges_of_periods_do_not_depend_on_where_the_clock_stands(start):
    spec = scale_up(("Pods", 3, 60), ("Percent", 100, 120))
    assert changes(queue_run(spec, FLOOD, syncs=12, start=start)) == [(0, 4), (60, 7), (120, 10)]


def test_reason_names_metric_value_target_and_limit():
    spec = scale_up(("Pods", 3, 60), ("Percent", 100, 120))
    decisions = queue_run(spec, 5200, syncs=2)
    assert decisions[0].reason == "q 5,200 (target 200 a pod) asks for 26: 1 -> 4, limited by +3 pods/60 s"
    assert decisions[1].reason == "q 5,200 (target 200 a pod) asks for 26: stays at 4, limited by +3 pods/60 s"
    held = queue_run(hpa(QUEUE, behavior={}, maximum=5), lambda now: 1000 if now < 15 else 0, syncs=2)[1]
    assert held.reason == "q 0 (target 200 a pod) asks for 0: stays at 5, limited by 5 was wanted in the last 300 s"
