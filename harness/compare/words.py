"""A comparison in words and tables: for a terminal, and for its page. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from statistics import median

from harness.compare.measures import MONTH_TASKS, Measure, group_key
from harness.compare.summary import AFTER, BEFORE, Bought, Compared, Comparison, Row
from harness.planning.words import grid
from harness.simulation.cost import Prices
from harness.spike.report import NOT_THERE, Table
from harness.spike.spread import spread_of
from harness.spike.table import spread
from harness.spike.words import TERMINAL_COLUMNS, printable, seconds

DIVIDING = "kind"
"""The runtime on which every request of both sides is divided by one factor."""
HEADINGS = {BEFORE: "Before", AFTER: "After"}


def text(comparison: Comparison, *, page: str) -> str:
    """Return the lines a terminal shows."""
    lines = [f"{_head(comparison)}", "", *_wrapped(held_equal(comparison)), ""]
    for one in comparison.compared:
        lines += [*_wrapped([f"{one.scenario}: {sentence(one)}", *latencies(one)])]
        lines += ["", *grid(table(one, comparison)), ""]
    return printable("\n".join([*lines, f"  report  {page}"]))


def _head(comparison: Comparison) -> str:
    verdict = "COMPARED" if comparison.passed else "MISSED"
    sides = " and ".join(comparison.bought[name].environment for name in (BEFORE, AFTER))
    return f"{verdict}  {sides} on {comparison.runtime}"


def _wrapped(sentences: list[str]) -> Iterator[str]:
    for one in sentences:
        yield from textwrap.wrap(one, TERMINAL_COLUMNS)


def held_equal(comparison: Comparison) -> list[str]:
    """Say what both sides have alike, and what that buys each of them."""
    budget, divided = comparison.budget, comparison.runtime == DIVIDING
    return [
        f"Both may request {budget.cores:g} cores and {budget.memory_gib:g} GiB: all pods of a side at their most fit. "
        "What its minimum leaves goes to the classes whose slots have most to do.",
        *(f"{HEADINGS[name]}: {_buys(comparison.bought[name])}" for name in (BEFORE, AFTER)),
        *(["On kind the requests of both, and so the budget, are divided by one factor."] if divided else []),
    ]


def _buys(bought: Bought) -> str:
    pods = ", ".join(f"{name} {count}" for name, count in bought.pods.items())
    asked = bought.requested
    return (
        f"{bought.environment}, at most {sum(bought.pods.values())} pods ({pods}) with {bought.slots:,} slots, which "
        f"request {asked.cores:g} cores and {asked.memory_gib:g} GiB."
    )


def sentence(compared: Compared) -> str:
    """Say what matters most of one scenario."""
    rows = {row.measure.key: row for row in compared.rows}
    runs = min(len(compared.before), len(compared.after))
    told = f"{runs} run{'s' * (runs != 1)} of each"
    drain = rows["drain_seconds"]
    if drain.ratio is None or drain.ratio.median <= 0:
        return f"{told}; a backlog was never gone."
    month = rows["month_cost"].ratio
    paid = "" if month is None else f", and a month with {MONTH_TASKS:,} such tasks costs {month.median:.0%} of before"
    return f"{told}; the backlog is gone {times(1 / drain.ratio.median)} as fast after as before{paid}."


def latencies(compared: Compared) -> list[str]:
    """Say how each group of tasks fared from phase to phase, where it was in several."""
    rows = {row.measure.key: row for row in compared.rows}
    told = []
    for group, phases in compared.after[0].result.by_group.items():
        keys = [group_key(group, phase) for phase in phases]
        if len(keys) > 1 and all(rows[key].ratio for key in keys):
            sides = (
                " and ".join(
                    f"{seconds(_median(rows[key], name))} in phase {phase}"
                    for key, phase in zip(keys, phases, strict=True)
                )
                for name in (BEFORE, AFTER)
            )
            told.append("95 % of {} tasks were done within {} before; after, within {}.".format(group, *sides))
    return told


def _median(row: Row, side: str) -> float | None:
    found = spread_of(getattr(row, side))
    return None if found is None else found.median


def table(compared: Compared, comparison: Comparison) -> Table:
    """Return the figures of one scenario, both sides and one by the other."""
    several = max(len(compared.before), len(compared.after)) > 1
    sides = (f"{HEADINGS[name]}: {comparison.bought[name].environment}" for name in (BEFORE, AFTER))
    return Table(
        title=compared.before[0].result.title,
        hint=f"{'Medians of the runs, with the range' if several else 'One run of each'}; figures count from the first "
        "task to the last effect.",
        heads=("", *sides, "After by before"),
        rows=[_cells(row, comparison.prices) for row in compared.rows],
    )


def _cells(row: Row, prices: Prices) -> tuple[str, str, str, str]:
    ratio = NOT_THERE if row.ratio is None else times(row.ratio.median)
    return row.measure.title, figure(row.measure, row.before, prices), figure(row.measure, row.after, prices), ratio


def figure(measure: Measure, values: tuple[float | None, ...], prices: Prices) -> str:
    """Return the median with its range; runs that do not have the figure are told of."""
    units: Mapping[str, tuple[float, str]] = {"share": (100.0, " %"), "money": (1.0, f" {prices.currency}")}
    factor, unit = units.get(measure.unit, (1.0, f" {measure.unit}" if measure.unit else ""))
    told = spread((None if value is None else value * factor for value in values), unit, digits=measure.digits)
    missing = sum(value is None for value in values)
    return f"{told}, none in {missing} of {len(values)}" if 0 < missing < len(values) else told


def times(ratio: float) -> str:
    """Write a ratio: two digits behind the point, none from ten on."""
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.2f} times"


def drawn(compared: Compared) -> str:
    """Say which runs the charts show."""
    counts = median([len(compared.before), len(compared.after)])
    return "The charts show the run of each side whose backlog took the middling time." if counts > 1 else ""
