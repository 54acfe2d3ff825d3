"""Kubernetes quantities ("250m", "2Gi", "1e3") as exact integers.

The controller compares whole thousandths ("milli-values"); a finer fraction counts as the next thousandth away from
zero, as `Quantity.MilliValue` does.
"""

from __future__ import annotations

import re
from fractions import Fraction

MAX_INT64 = 2**63 - 1

_FORM = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]?|[eE][+-]?[0-9]+)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_NAMES = {exponent: name for name, exponent in _DECIMAL.items()}


def parse_milli(quantity: str | int | float) -> int:
    """Return thousandths of the quantity's unit: "250m" -> 250, "2" -> 2000, "1Ki" -> 1024000.

    Numbers are read as their text, as JSON would carry them. Raises ValueError for text that is no quantity and for
    an amount past 2**63-1 thousandths, where Kubernetes' own integers overflow.
    """
    if isinstance(quantity, bool) or not isinstance(quantity, str | int | float):
        raise ValueError(f"not a Kubernetes quantity: {quantity!r} (write a number or text such as 250m, 2Gi)")
    text = str(quantity).strip()
    milli = _away_from_zero(_value(text) * 1000)
    if abs(milli) > MAX_INT64:
        raise ValueError(f"quantity {text!r} is too large: at most {MAX_INT64} thousandths are counted")
    return milli


def format_milli(milli: int) -> str:
    """Return the canonical decimal text: 1500 -> "1500m", 200000 -> "200", 1000000 -> "1k"."""
    if milli == 0:
        return "0"
    digits, exponent = milli, -3
    while digits % 1000 == 0 and exponent < max(_DECIMAL_NAMES):
        digits, exponent = digits // 1000, exponent + 3
    return f"{digits}{_DECIMAL_NAMES[exponent]}"


def approximate_float(quantity: str | int | float) -> float:
    """Return the quantity as float64 the way the controller sees a tolerance: digits times a power of ten.

    The API server stores the canonical form ("0.05" becomes "50m"), which decides how the float is rounded.
    """
    digits, exponent = _away_from_zero(_value(str(quantity).strip()) * 10**9), -9
    while digits % 1000 == 0 and exponent < 0:
        digits, exponent = digits // 1000, exponent + 3
    return float(digits) * {-9: 1e-9, -6: 1e-6, -3: 1e-3, 0: 1.0}[exponent]


def _value(text: str) -> Fraction:
    match = _FORM.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        raise ValueError(f"not a Kubernetes quantity: {text!r} (write a number with m, k, M, G, Ki, Mi, Gi or e)")
    sign, whole, fraction, suffix = match.groups()
    magnitude = Fraction(int(f"{whole}{fraction or ''}" or 0), 10 ** len(fraction or ""))
    magnitude = _nano(magnitude * _factor(suffix))
    if suffix in _BINARY:
        magnitude = min(magnitude, Fraction(MAX_INT64))
    return -magnitude if sign == "-" else magnitude


def _factor(suffix: str) -> Fraction:
    if suffix in _BINARY:
        return Fraction(2 ** _BINARY[suffix])
    exponent = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
    if abs(exponent) > 400:  # a guard: 1e999999999 would otherwise build a number of that many digits
        raise ValueError(f"quantity exponent {suffix!r} is out of range")
    return Fraction(10) ** exponent


def _nano(magnitude: Fraction) -> Fraction:
    """Round up to billionths, the finest a quantity keeps."""
    return Fraction(_away_from_zero(magnitude * 10**9), 10**9)


def _away_from_zero(value: Fraction) -> int:
    ceiling = -(-abs(value.numerator) // value.denominator)
    return -ceiling if value < 0 else ceiling
