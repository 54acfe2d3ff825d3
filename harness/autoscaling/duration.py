"""Durations as Kubernetes writes them."""

from __future__ import annotations

import re


def duration_seconds(text: str) -> float:
    """Return what Go's way of writing a duration means.

    >>> duration_seconds("1m2.5s"), duration_seconds("15s"), duration_seconds("900ms")
    (62.5, 15.0, 0.9)
    """
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)(ms|us|[hms])", text))
