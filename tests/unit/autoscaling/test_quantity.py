"""Kubernetes quantities."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.autoscaling.quantity import MAX_INT64, approximate_float, format_milli, parse_milli


@pytest.mark.parametrize(
    ("text", "milli"),
    [
        ("0", 0),
        ("1", 1000),
        (2, 2000),
        (1.5, 1500),
        ("250m", 250),
        ("0.25", 250),
        (".5", 500),
        ("1.", 1000),
        ("+3", 3000),
        ("-2", -2000),
        ("1k", 1_000_000),
        ("1Ki", 1_024_000),
        ("2Gi", 2 * 2**30 * 1000),
        ("1.5Mi", 1_572_864_000),
        ("3M", 3_000_000_000),
        ("1e3", 1_000_000),
        ("1E3", 1_000_000),
        ("12e-1", 1200),
    ],
)
def test_reads(text, milli):
    assert parse_milli(text) == milli


def test_finer_than_a_thousandth_counts_as_the_next_away_from_zero():
    assert parse_milli("1u") == 1
    assert parse_milli("1n") == 1
    assert parse_milli("1000001n") == 2
    assert parse_milli("-1u") == -1
    assert parse_milli("0.0000000001") == 1  # below a billionth: kept as the smallest amount there is


def test_capital_e_alone_is_exa_and_with_digits_an_exponent():
    assert parse_milli("1E2") == 100_000
    with pytest.raises(ValueError, match="too large"):
        parse_milli("10E")


def test_binary_amounts_are_capped_before_they_are_too_large_to_count():
    with pytest.raises(ValueError, match="too large"):
        parse_milli("100Ei")


@pytest.mark.parametrize("text", ["", ".", "m", "1 Gi", "1gi", "1mi", "1K", "0x10", "1e", "--1", "nan", "inf", "1m1"])
def test_refuses_what_is_no_quantity(text):
    with pytest.raises(ValueError, match=r"quantity"):
        parse_milli(text)


@pytest.mark.parametrize("value", [True, None, ["1"]])
def test_refuses_other_types(value):
    with pytest.raises(ValueError, match="not a Kubernetes quantity"):
        parse_milli(value)


def test_an_absurd_exponent_is_refused_at_once():
    with pytest.raises(ValueError, match="out of range"):
        parse_milli("1e999999999")


@given(st.integers(-MAX_INT64, MAX_INT64))
def test_canonical_text_reads_back(milli):
    assert parse_milli(format_milli(milli)) == milli


@given(st.integers(0, 10**9), st.sampled_from([("m", Fraction(1, 1000)), ("", Fraction(1)), ("Ki", Fraction(1024))]))
def test_reading_is_exact_multiplication(number, unit):
    suffix, factor = unit
    assert parse_milli(f"{number}{suffix}") == number * factor * 1000


@pytest.mark.parametrize(
    ("milli", "text"), [(0, "0"), (200_000, "200"), (1500, "1500m"), (1_000_000, "1k"), (1, "1m"), (10**9, "1M")]
)
def test_canonical_text(milli, text):
    assert format_milli(milli) == text


@pytest.mark.parametrize(("text", "number"), [("0.1", 0.1), ("50m", 0.05), ("0", 0.0), ("2", 2.0), ("0.0005", 0.0005)])
def test_tolerances_as_floats(text, number):
    assert approximate_float(text) == number
