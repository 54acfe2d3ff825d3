"""Whether a dashboard's panels have something to show: what each asks, and how many series that returned. Pure.

Reads Grafana's JSON, so it serves dashboards of one's own as well as the chart's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.monitoring.answers import Curve, Sample

Ask = Callable[[str, bool], Sequence[Curve | Sample]]
"""Evaluates an expression over the window, or (True) at its end. Raises ValueError with the reason where it cannot."""


@dataclass(frozen=True)
class Asked:
    """One panel of a dashboard and what it asks: expressions, each with whether only its newest value counts."""

    board: str
    title: str
    unit: str | None
    queries: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Shown:
    """One panel and how many series with a number each of its queries returned."""

    board: str
    title: str
    unit: str | None
    series: tuple[int, ...]
    problem: str | None

    @property
    def total(self) -> int:
        """Series of all its queries."""
        return sum(self.series)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), "series": list(self.series), "total": self.total}


def asked(document: Mapping[str, Any]) -> list[Asked]:
    """Return the panels of a dashboard that ask something, those of collapsed rows too."""
    return [
        Asked(
            board=str(document.get("title", "")),
            title=str(panel.get("title", "")),
            unit=(panel.get("fieldConfig") or {}).get("defaults", {}).get("unit"),
            queries=tuple(
                (str(target["expr"]), bool(target.get("instant")))
                for target in panel["targets"]
                if target.get("expr") and not target.get("hide")
            ),
        )
        for panel in _panels(document.get("panels") or ())
        if panel.get("targets")
    ]


def filled(expression: str, variables: Mapping[str, str]) -> str:
    """Return the expression with Grafana's variables replaced; longer names first, as one may begin another."""
    for name in sorted(variables, key=len, reverse=True):
        for form in (f"${{{name}}}", f"${name}"):
            expression = expression.replace(form, variables[name])
    return expression


def variables(*, namespace: str, release: str, window_seconds: float, rate_seconds: float) -> dict[str, str]:
    """Return what Grafana would put in for a viewer's choice; both times are seconds."""
    return {
        "namespace": namespace,
        "release": release,
        "__rate_interval": f"{rate_seconds:.0f}s",
        "__interval": f"{max(window_seconds / 120, 1):.0f}s",
        "__range": f"{window_seconds:.0f}s",
    }


def check(panels: Iterable[Asked], ask: Ask, chosen: Mapping[str, str]) -> list[Shown]:
    """Evaluate every query of every panel. An empty panel has a problem, and so has one without a unit."""
    return [_shown(panel, ask, chosen) for panel in panels]


def empty(shown: Iterable[Shown]) -> list[Shown]:
    """Return the panels with a problem."""
    return [one for one in shown if one.problem is not None]


def _shown(panel: Asked, ask: Ask, chosen: Mapping[str, str]) -> Shown:
    counts, problems = [], []
    for expression, at_once in panel.queries:
        try:
            counts.append(sum(_has_number(series) for series in ask(filled(expression, chosen), at_once)))
        except ValueError as error:
            counts.append(0)
            problems.append(str(error))
    if not problems and not all(counts):
        which = "" if not sum(counts) else f" for query {_letters(counts)}"
        problems.append(f"no series{which}")
    if not panel.unit:
        problems.append("no unit")
    return Shown(panel.board, panel.title, panel.unit, tuple(counts), "; ".join(problems) or None)


def _letters(counts: Sequence[int]) -> str:
    return ", ".join(chr(ord("A") + index) for index, count in enumerate(counts) if not count)


def _has_number(series: Curve | Sample) -> bool:
    values = [series.value] if isinstance(series, Sample) else [value for _, value in series.points]
    return any(math.isfinite(value) for value in values)


def _panels(panels: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels") or ())
