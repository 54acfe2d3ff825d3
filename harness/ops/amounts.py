"""Durations and rates as a person types them. Pure."""

from __future__ import annotations

import re

from harness.errors import InputError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_RATE = re.compile(r"([1-9]\d*)/([smh])")
LONGEST_SECONDS = 30 * 86400


def parse_duration(text: str, *, option: str) -> int:
    """Return the seconds of a duration such as 30m, 2h, 90s or 1h30m. Raises InputError naming the option.

    >>> parse_duration("1h30m", option="--for")
    5400
    """
    match = _DURATION.fullmatch(text.strip())
    seconds = (
        sum(int(part or 0) * unit for part, unit in zip(match.groups(), (86400, 3600, 60, 1), strict=True))
        if match
        else 0
    )
    if not 0 < seconds <= LONGEST_SECONDS:
        raise InputError(f"{option} {text}: write a duration of at most 30 days, such as 90s, 30m, 2h or 1h30m")
    return seconds


def shown_duration(seconds: float) -> str:
    """Return a duration as a person reads it, to two units.

    >>> shown_duration(5400), shown_duration(59.6), shown_duration(0)
    ('1h 30m', '1m', '0s')
    """
    rest, parts = max(round(seconds), 0), []
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"


def parse_rate(text: str, *, option: str) -> str:
    """Return a rate in its one spelling, n/s, n/m or n/h. Raises InputError naming what was meant.

    >>> parse_rate("10/m", option="RATE")
    '10/m'
    """
    if not _RATE.fullmatch(text.strip()):
        raise InputError(f"{option} {text}: write a number of tasks a second, minute or hour: 5/s, 10/m, 100/h")
    return text.strip()


def per_second(rate: str) -> float:
    """Return a rate of `parse_rate` in tasks a second.

    >>> per_second("30/m")
    0.5
    """
    count, _, unit = rate.partition("/")
    return int(count) / _UNITS[unit]
