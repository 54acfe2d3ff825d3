"""Two ways under the same load: the median of several runs each, its range, and one by the other. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.compare.budget import Budget
from harness.compare.measures import MEASURES, Measure, group_measures
from harness.simulation.cost import Prices
from harness.spike.result import Result
from harness.spike.spread import Spread, ratio_of, spread_of

FORMAT_VERSION = 1
BEFORE, AFTER = "before", "after"
SIDES = (BEFORE, AFTER)
SAVED = ("core_hours", "gib_hours", "load_cost", "month_cost")
"""Measures of which less is a saving."""

Figures = Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Bought:
    """What a budget buys of one set of values: pods by class, what they request when all are there, and their slots."""

    environment: str
    pods: Mapping[str, int]
    requested: Budget
    slots: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: where it lies below the comparison's folder, and its figures by measure."""

    path: str
    result: Result
    figures: Figures


@dataclass(frozen=True)
class Row:
    """One measure, with a figure for each run; None where a run does not have it."""

    measure: Measure
    before: tuple[float | None, ...]
    after: tuple[float | None, ...]

    @property
    def ratio(self) -> Spread | None:
        """After by before, None without both."""
        return ratio_of(spread_of(self.after), spread_of(self.before))


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One scenario on both sides; each has at least one run."""

    scenario: str
    before: tuple[Run, ...]
    after: tuple[Run, ...]

    @property
    def rows(self) -> list[Row]:
        """What is compared, in the order in which it is told."""
        runs = (*self.before, *self.after)
        measures = [*MEASURES, *group_measures([run.result for run in runs])]
        return [
            Row(
                one,
                tuple(run.figures.get(one.key) for run in self.before),
                tuple(run.figures.get(one.key) for run in self.after),
            )
            for one in measures
        ]

    @property
    def passed(self) -> bool:
        """Whether every run met its objectives."""
        return all(run.result.passed for run in (*self.before, *self.after))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that was measured. `command` makes it again."""

    name: str
    command: str
    runtime: str
    budget: Budget
    prices: Prices
    bought: Mapping[str, Bought]
    compared: tuple[Compared, ...]

    @property
    def passed(self) -> bool:
        """Whether every run met its objectives."""
        return all(one.passed for one in self.compared)


def middle(runs: Sequence[Run]) -> Run:
    """Return the run whose drain is in the middle; those that never drained are the slowest."""
    ordered = sorted(
        runs, key=lambda run: (run.result.drain_seconds is None, run.result.drain_seconds or 0.0, run.path)
    )
    return ordered[(len(ordered) - 1) // 2]


def saved(row: Row) -> float | None:
    """Return which share of it is saved, None where a side does not have the figure."""
    return None if row.ratio is None else 1.0 - row.ratio.median


def document(comparison: Comparison) -> dict[str, Any]:
    """Return the JSON form."""
    return {
        "version": FORMAT_VERSION,
        "comparison": comparison.name,
        "command": comparison.command,
        "runtime": comparison.runtime,
        "passed": comparison.passed,
        "budget": asdict(comparison.budget),
        "prices": asdict(comparison.prices),
        "sides": {name: asdict(bought) for name, bought in comparison.bought.items()},
        "scenarios": {one.scenario: _scenario(one) for one in comparison.compared},
    }


def _scenario(compared: Compared) -> dict[str, Any]:
    rows = compared.rows
    return {
        "title": compared.before[0].result.title,
        "passed": compared.passed,
        "measures": {row.measure.key: _row(row) for row in rows},
        "saved": {row.measure.key: saved(row) for row in rows if row.measure.key in SAVED},
        "runs": {name: [_run(run) for run in getattr(compared, name)] for name in SIDES},
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "title": row.measure.title,
        "unit": row.measure.unit,
        BEFORE: _spread(row.before),
        AFTER: _spread(row.after),
        "ratio": None if row.ratio is None else _range(row.ratio),
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    found = spread_of(values)
    if found is None:
        return {"median": None, "lowest": None, "highest": None, "runs": 0}
    return {**_range(found), "runs": found.runs}


def _range(found: Spread) -> dict[str, float]:
    return {"median": found.median, "lowest": found.lowest, "highest": found.highest}


def _run(run: Run) -> dict[str, Any]:
    return {"path": run.path, "passed": run.result.passed, "figures": dict(run.figures)}
