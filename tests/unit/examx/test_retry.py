"""Trying again: how often, how long, and what ends it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examx import retry


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def failing(times: int, *, retry_after_seconds: float | None = None):
    """A step that fails so many times, then returns how often it was called."""
    calls = 0

    def step() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise retry.TemporaryError("not now", retry_after_seconds=retry_after_seconds)
        return calls

    return step


def run(step, policy: retry.Policy, clock: Clock) -> int:
    return retry.call(step, policy=policy, clock=lambda: clock.now, sleep=clock.sleep, draw=lambda: 1.0)


def test_success_at_once_waits_for_nothing():
    clock = Clock()
    assert run(failing(0), retry.Policy(), clock) == 1
    assert clock.slept == []


def test_waits_double_up_to_the_longest():
    clock = Clock()
    policy = retry.Policy(attempts=6, first_seconds=1, longest_seconds=4)
    assert run(failing(5), policy, clock) == 6
    assert clock.slept == [1, 2, 4, 4, 4]


def test_retry_after_is_a_lower_bound():
    clock = Clock()
    policy = retry.Policy(attempts=3, first_seconds=1, longest_seconds=4)
    run(failing(2, retry_after_seconds=7), policy, clock)
    assert clock.slept == [8, 9]


def test_attempts_are_bounded():
    clock = Clock()
    with pytest.raises(retry.TemporaryError):
        run(failing(99), retry.Policy(attempts=4, first_seconds=1), clock)
    assert len(clock.slept) == 3


def test_total_time_is_bounded():
    clock = Clock()
    policy = retry.Policy(attempts=99, first_seconds=1, longest_seconds=1, total_seconds=10)
    with pytest.raises(retry.TemporaryError):
        run(failing(99, retry_after_seconds=3), policy, clock)
    assert clock.now == 8  # 2 x (3 + 1); a third wait would end after the limit


def test_other_exceptions_pass_at_once():
    def broken() -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        retry.call(broken, policy=retry.Policy())


@given(
    attempt=st.integers(1, 60),
    draw=st.floats(0, 1, exclude_max=True),
    asked=st.none() | st.floats(0, 1e9),
)
def test_no_wait_is_negative_or_longer_than_the_policy_allows(attempt: int, draw: float, asked: float | None):
    policy = retry.Policy()
    delay = policy.delay_seconds(attempt=attempt, retry_after_seconds=asked, draw=draw)
    assert 0 <= delay <= policy.total_seconds + policy.longest_seconds
    if asked is not None:
        assert delay >= min(asked, policy.total_seconds)
