"""External metrics and the bounds around them, worked out by hand."""

import pytest

from harness.autoscaling.kernel import MAX_INT32
from tests.unit.autoscaling.builders import external, hpa, once, pod

PER_POD = external(average="200")
WHOLE = external(value="30")


def wants(metric, milli, *, replicas=1, **options):
    values = milli if isinstance(milli, tuple) else (milli,)
    return once(hpa(metric, minimum=0), replicas=replicas, values={"q": values}, **options).wanted


@pytest.mark.parametrize(
    ("messages", "status", "replicas"),
    [
        (5200, 1, 26),
        (200, 1, 1),
        (220, 1, 1),  # 1.10 within
        (221, 1, 2),
        (180, 1, 1),  # 0.90 within
        (0, 1, 0),
        (1000, 5, 5),
        (899, 5, 5),  # 0.899: ceil(4.495)
        (700, 5, 4),
        (1000, 0, 5),  # no replicas: the share is infinite
        (0, 0, 0),
    ],
)
def test_average_value_is_compared_with_the_replicas_that_exist(messages, status, replicas):
    assert wants(PER_POD, messages * 1000, replicas=max(status, 1), status=status) == replicas


def test_status_and_not_spec_is_what_tolerance_keeps():
    """Five are wanted and four exist: 800 is exactly right for four."""
    assert wants(PER_POD, 800_000, replicas=5, status=4) == 4
    assert wants(PER_POD, 840_000, replicas=5, status=4) == 4  # 1.05 of four pods' worth: within
    assert wants(PER_POD, 840_000, replicas=4, status=5) == 5  # 0.84 of five pods' worth: ceil(4.2)


def test_values_of_one_metric_are_added_up():
    assert wants(PER_POD, (300_000, 500_000), replicas=1) == 4


def test_an_overflowing_sum_asks_for_all_there_is():
    assert wants(PER_POD, (2**62, 2**62, 2**62), replicas=1) == MAX_INT32


def test_a_negative_sum_is_taken_for_an_overflow():
    assert wants(PER_POD, -5000, replicas=1) == MAX_INT32


def test_whole_value_scales_the_ready_pods():
    pods = [pod("a"), pod("b"), pod("c", ready=False), pod("d", phase="Pending")]
    assert wants(WHOLE, 60_000, replicas=4, pods=pods) == 4  # 2.0 x 2 ready
    assert wants(WHOLE, 90_000, replicas=4, pods=pods) == 6
    assert wants(WHOLE, 33_000, replicas=4, pods=pods) == 4  # within: the wanted ones stay
    assert wants(WHOLE, 15_000, replicas=4, pods=pods) == 1


def test_whole_value_from_zero_counts_targets():
    assert wants(WHOLE, 61_000, replicas=0, status=0) == 3
    assert wants(WHOLE, 0, replicas=0, status=0) == 0


def test_whole_value_without_pods_is_unusable_once_it_must_act():
    decision = once(hpa(WHOLE), replicas=2, values={"q": (90_000,)})
    assert decision.reason == "q: the target has no pods: stays at 2"
    assert once(hpa(WHOLE), replicas=2, values={"q": (30_000,)}).wanted == 2


def test_a_metric_without_value_holds():
    assert once(hpa(PER_POD), replicas=2).reason == "q: its source gives no value: stays at 2"


@pytest.mark.parametrize(
    ("replicas", "desired", "why"),
    [
        (0, 0, "scaled to zero by hand"),
        (1, 2, "below minReplicas 2"),
        (12, 10, "above maxReplicas 10"),
    ],
)
def test_outside_the_bounds_metrics_are_not_asked(replicas, desired, why):
    decision = once(hpa(PER_POD, minimum=2, maximum=10), replicas=replicas, values={"q": (10**9,)})
    assert decision.desired == desired
    assert decision.proposals == ()
    assert why in decision.reason


def test_zero_minimum_goes_to_zero_and_back():
    spec = hpa(PER_POD, minimum=0, behavior={"scaleDown": {"stabilizationWindowSeconds": 0}})
    assert once(spec, replicas=1, values={"q": (0,)}).desired == 0
    assert once(spec, replicas=0, values={"q": (1000,)}).desired == 1


def test_a_wider_tolerance_of_one_direction():
    spec = hpa(PER_POD, behavior={"scaleUp": {"tolerance": "0.5"}})
    assert once(spec, replicas=1, values={"q": (300_000,)}).wanted == 1
    assert once(spec, replicas=1, values={"q": (301_000,)}).wanted == 2
