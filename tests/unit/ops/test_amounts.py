from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.ops.amounts import parse_duration, parse_rate, per_second, shown_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1d", 86400), (" 5m ", 300)]
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text, option="--for") == seconds


@pytest.mark.parametrize("text", ["", "0s", "30", "m", "1.5h", "-3m", "30m1h", "31d", "9" * 30 + "s"])
def test_what_is_no_duration_is_refused_by_the_options_name(text: str) -> None:
    with pytest.raises(InputError, match="--for"):
        parse_duration(text, option="--for")


@given(st.integers(1, 30 * 86400))
def test_a_duration_in_seconds_is_read_as_it_was_written(seconds: int) -> None:
    assert parse_duration(f"{seconds}s", option="--for") == seconds


@given(st.integers(0, 59), st.integers(0, 59))
def test_what_is_shown_of_up_to_an_hour_is_exact(minutes: int, seconds: int) -> None:
    total = minutes * 60 + seconds
    shown = shown_duration(total).replace(" ", "")
    assert total == 0 or parse_duration(shown, option="--for") == total


@pytest.mark.parametrize("text", ["10", "10/x", "0/s", "-1/m", "1.5/s", "/m", "10 / m"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="RATE"):
        parse_rate(text, option="RATE")


@given(st.integers(1, 10_000))
def test_a_rate_is_the_same_in_each_unit(count: int) -> None:
    assert per_second(parse_rate(f"{count}/s", option="RATE")) == count
    assert per_second(f"{count * 60}/m") == pytest.approx(count)
    assert per_second(f"{count * 3600}/h") == pytest.approx(count)
