"""Rates, windows and the history, case by case."""

import pytest

from harness.autoscaling import Observation, Recommendation, ScaleEvent, State, decide
from tests.unit.autoscaling.builders import external, hpa, rules

QUEUE = external(average="1")
SECOND = 10**9
NOW = 10_000


def step(behavior, *, current, wanted, state=None, minimum=1, maximum=100):
    """Decide one sync at 10,000 s with a queue that asks for `wanted` pods."""
    observation = Observation(spec_replicas=current, status_replicas=current, external_milli={"q": (wanted * 1000,)})
    spec = hpa(QUEUE, behavior=behavior, minimum=minimum, maximum=maximum)
    return decide(spec, state or State((Recommendation(current, 0),)), observation, now_seconds=NOW)


def desired(*args, **options):
    return step(*args, **options)[0].desired


def up(*policies, **options):
    return {"scaleUp": rules(*policies, **options)}


def down(*policies, **options):
    return {"scaleDown": rules(*policies, **{"window": 0, **options})}


def history(*, ups=(), downs=()):
    """A state from (change, seconds ago) pairs."""
    events = [tuple(ScaleEvent(change, (NOW - ago) * SECOND) for change, ago in side) for side in (ups, downs)]
    return State((Recommendation(1, 0),), *events)


def test_a_percentage_up_is_rounded_up_and_down_is_cut():
    assert desired(up(("Percent", 10, 60)), current=5, wanted=50) == 6  # 5.5
    assert desired(down(("Percent", 33, 60)), current=5, wanted=1) == 3  # 3.35
    assert desired(down(("Percent", 10, 60)), current=5, wanted=1) == 4  # 4.5


def test_even_one_per_cent_adds_one_pod_and_takes_one():
    assert desired(up(("Percent", 1, 60)), current=1, wanted=50) == 2
    assert desired(down(("Percent", 1, 60)), current=50, wanted=1) == 49


@pytest.mark.parametrize(("select", "replicas"), [("Max", 4), ("Min", 8)])
def test_select_of_the_way_down(select, replicas):
    assert desired(down(("Pods", 2, 60), ("Percent", 60, 60), select=select), current=10, wanted=1) == replicas


def test_a_period_counts_from_the_replicas_at_its_start():
    state = history(ups=[(3, 59)], downs=[(1, 30)])
    # ten now, eight a minute ago: four more than eight
    assert desired(up(("Pods", 4, 60)), current=10, wanted=50, state=state) == 12


def test_an_event_as_old_as_the_period_no_longer_counts():
    assert desired(up(("Pods", 4, 60)), current=10, wanted=50, state=history(ups=[(4, 60)])) == 14
    assert desired(up(("Pods", 4, 60)), current=10, wanted=50, state=history(ups=[(4, 59)])) == 10


def test_a_used_up_rate_holds_and_does_not_turn_round():
    """Five were added in the last minute and three are allowed: the limit of eight lies behind the ten there are."""
    assert desired(up(("Pods", 3, 60)), current=10, wanted=50, state=history(ups=[(5, 30)])) == 10
    assert desired(down(("Pods", 3, 60)), current=10, wanted=1, state=history(downs=[(5, 30)])) == 10


def test_bounds_come_after_the_rates():
    assert desired(up(("Pods", 90, 60)), current=10, wanted=99, maximum=20) == 20
    assert desired(down(("Pods", 90, 60)), current=10, wanted=1, minimum=4) == 4


def test_windows_look_at_what_was_wanted_not_at_what_was_done():
    state = State((Recommendation(30, (NOW - 100) * SECOND), Recommendation(7, (NOW - 50) * SECOND)))
    assert desired(down(("Percent", 100, 15), window=120), current=10, wanted=1, state=state) == 10
    assert desired(down(("Percent", 100, 15), window=100), current=10, wanted=1, state=state) == 7
    state = State((Recommendation(12, (NOW - 100) * SECOND), Recommendation(15, (NOW - 50) * SECOND)))
    assert desired(up(("Pods", 90, 15), window=101), current=10, wanted=40, state=state) == 12
    assert desired(up(("Pods", 90, 15), window=100), current=10, wanted=40, state=state) == 15


def test_a_proposal_is_remembered_even_when_nothing_changes():
    _, state = step({}, current=10, wanted=3)
    assert state.recommendations[-1] == Recommendation(3, NOW * SECOND)


def test_a_proposal_too_old_for_both_windows_is_overwritten_in_place():
    state = State(
        (Recommendation(1, 5), Recommendation(2, (NOW - 301) * SECOND), Recommendation(3, (NOW - 300) * SECOND))
    )
    _, after = step({}, current=3, wanted=3, state=state)
    assert [entry.replicas for entry in after.recommendations] == [1, 3, 3]
    assert after.recommendations[1].at_nanoseconds == NOW * SECOND


def test_the_last_outdated_event_is_overwritten_even_if_the_other_direction_would_still_count_it():
    """Upward events older than the upward 15 s are outdated, though the downward 600 s still looks at them."""
    behavior = {**up(("Pods", 1, 15)), **down(("Pods", 1, 600))}
    _, after = step(behavior, current=10, wanted=50, state=history(ups=[(2, 500), (3, 100), (4, 15)]))
    assert [(event.change, event.outdated) for event in after.scale_up_events] == [(2, True), (1, False), (4, False)]


def test_nothing_is_remembered_of_a_rescale_without_behavior():
    _, state = step(None, current=1, wanted=3)
    assert state.scale_up_events == ()


def test_a_rescale_to_the_bounds_is_remembered_like_any_other():
    _, state = step({}, current=12, wanted=50, maximum=10)
    assert state.scale_down_events == (ScaleEvent(2, NOW * SECOND),)
    _, state = step({}, current=1, wanted=50, minimum=3)
    assert state.scale_up_events == (ScaleEvent(2, NOW * SECOND),)


def test_scaled_to_zero_by_hand_remembers_only_the_first_sight():
    decision, state = step({}, current=0, wanted=50, state=State())
    assert decision.desired == 0
    assert state == State((Recommendation(0, NOW * SECOND),))
