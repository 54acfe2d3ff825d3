"""The delay between two attempts."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_workers import Backoff


class Fixed:
    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


def test_the_ceiling_doubles_until_it_reaches_the_maximum() -> None:
    backoff = Backoff(first_seconds=0.5, factor=2, max_seconds=3)
    assert [backoff.ceiling_seconds(n) for n in (1, 2, 3, 4, 50)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_an_attempt_number_beyond_any_float_still_has_a_delay() -> None:
    assert Backoff(max_seconds=7).ceiling_seconds(100_000) == 7


def test_jitter_takes_its_share_off_the_ceiling() -> None:
    backoff = Backoff(first_seconds=2, max_seconds=2, jitter=0.25)
    assert backoff.delay_seconds(1, Fixed(0.0)) == 2.0
    assert backoff.delay_seconds(1, Fixed(0.5)) == 1.75


@given(st.integers(1, 10_000), st.integers(0, 2**32), st.floats(0, 1))
def test_every_delay_lies_between_the_jittered_ceiling_and_the_ceiling(attempt: int, seed: int, jitter: float) -> None:
    backoff = Backoff(jitter=jitter)
    delay = backoff.delay_seconds(attempt, random.Random(seed))
    ceiling = backoff.ceiling_seconds(attempt)
    assert (1 - jitter) * ceiling <= delay <= ceiling <= backoff.max_seconds


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("first_seconds", 0, "first_seconds must be above 0"),
        ("first_seconds", 6, "at most max_seconds"),
        ("factor", 0.9, "factor must be at least 1"),
        ("jitter", 1.1, "jitter must lie in"),
    ],
)
def test_figures_that_make_no_sense_are_refused(field: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Backoff(**{field: value})


def test_attempts_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="from 1"):
        Backoff().ceiling_seconds(0)
