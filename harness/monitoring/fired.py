"""When which alert fired, from what Prometheus recorded of it. Pure.

Prometheus keeps a series ALERTS{alertname, alertstate, ...} of 1 for as long as an alert is in a state
(https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.monitoring.answers import Curve

FIRING = 'ALERTS{alertstate="firing"}'
MOST_POINTS = 10_000  # a query over a range may return 11,000 a series


@dataclass(frozen=True)
class Fired:
    """An alert from when to when it fired, seconds on the caller's clock; `end` is None where it still did."""

    name: str
    severity: str
    about: str
    start: float
    end: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "name": self.name,
            "severity": self.severity,
            "about": self.about,
            "start": round(self.start, 3),
            "end": None if self.end is None else round(self.end, 3),
        }


def step_seconds(window_seconds: float) -> float:
    """Return the finest step, of whole seconds, in which a window can be asked for at once."""
    return float(max(-(-window_seconds // MOST_POINTS), 1))


def intervals(curves: Iterable[Curve], *, step_seconds: float, end: float, started_at: float = 0.0) -> list[Fired]:
    """Return when alerts fired, in order of their start; one that fired twice is there twice.

    `curves` are those of FIRING at each step up to `end`. All times are seconds since the epoch; those returned are
    seconds since `started_at`.
    """
    found = [
        Fired(
            name=curve.labels.get("alertname", ""),
            severity=curve.labels.get("severity", ""),
            about=about(curve.labels),
            start=first - started_at,
            # A step more: at the last of them it still fired.
            end=None if last + step_seconds > end else last + step_seconds - started_at,
        )
        for curve in curves
        for first, last in _stretches([at for at, _ in curve.points], step_seconds)
    ]
    return sorted(found, key=lambda one: (one.start, one.name, one.about))


def about(labels: Mapping[str, str]) -> str:
    """Return what an alert is about: its class, and its queue where that is called otherwise, or its breaker."""
    words = [labels.get(key, "") for key in ("class", "queue", "breaker")]
    return " ".join(dict.fromkeys(filter(None, words)))


def _stretches(times: list[float], step_seconds: float) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for at in times:
        if found and at - found[-1][1] < 1.5 * step_seconds:
            found[-1] = (found[-1][0], at)
        else:
            found.append((at, at))
    return found
