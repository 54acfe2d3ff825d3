"""Costs for a terminal and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.planning.costing import Priced
from harness.simulation import cost
from harness.simulation.cost import NodeType, Prices
from harness.tables import table_of

BAR_WIDTH = 40
CLAIMED_SAVING = 0.6
"""What the optimisation report promises: ~$3,000 -> ~$1,200 a month."""
CLAIMED_MONTH_BEFORE = 3000.0


def shown(priced: Sequence[Priced], prices: Prices, node: NodeType | None) -> RenderableType:
    """Return everything to be printed: bars, classes, tasks, months, and the comparison of two sets."""
    parts: list[RenderableType] = [*_bars(priced, prices)]
    for one in priced:
        parts += [Text(f"\n{one.name}", style="bold"), _classes(one, prices), _tasks(one, prices)]
    parts += [Text("\na month against volume", style="bold"), _months(priced, prices)]
    if len(priced) == 2:
        parts += [Text(line) for line in ["", *claim(priced[0], priced[1], prices)]]
    parts += [Text(line, style="dim") for line in ["", *assumptions(prices, node)]]
    return Group(*parts)


def _bars(priced: Sequence[Priced], prices: Prices) -> list[RenderableType]:
    """Draw what a month of nothing but the minimum costs, by class."""
    rows = [(one.name, each.name, each.idle_month) for one in priced for each in one.by_class]
    top = max((cost for _, _, cost in rows), default=0.0) or 1.0
    width = max(len(f"{name} {each}") for name, each, _ in rows)
    drawn: list[RenderableType] = [Text(f"minimum replicas all month, {prices.currency}", style="bold")]
    for name, each, amount in rows:
        drawn.append(Text(f"{f'{name} {each}':<{width}}  {'█' * math.ceil(BAR_WIDTH * amount / top)} {amount:,.2f}"))
    return drawn


def _classes(one: Priced, prices: Prices) -> Table:
    table = table_of("class", "min>", "pod-hours a cycle>", f"{prices.currency} a cycle>", "idle a month>")
    for use, each in zip(one.cycle.classes, one.by_class, strict=True):
        table.add_row(
            each.name, str(use.minimum), f"{each.pod_hours:,.2f}", f"{each.cycle:,.4f}", f"{each.idle_month:,.2f}"
        )
    return table


def _tasks(one: Priced, prices: Prices) -> Table:
    table = table_of("task", "class", "count>", f"{prices.currency} a cycle>", "per 1,000>")
    for task in sorted(one.by_task, key=lambda task: -task.cycle):
        table.add_row(
            task.name, task.worker_class, f"{task.count:,}", f"{task.cycle:,.4f}", f"{task.per_thousand:,.4f}"
        )
    return table


def _months(priced: Sequence[Priced], prices: Prices) -> Table:
    headers = [f"{one.name} {what}>" for one in priced for what in (prices.currency, "of it busy")]
    table = table_of("tasks a month>", *headers, *(["saved>"] if len(priced) == 2 else []))
    saved = cost.savings(priced[0].months, priced[1].months) if len(priced) == 2 else ()
    for row, month in enumerate(priced[0].months):
        cells = [f"{month.volume:,}"]
        for one in priced:
            each = one.months[row]
            cells += [f"{each.cost:,.2f}", f"{each.busy:,.2f}"] if each.feasible else ["not possible", "-"]
        if saved:
            cells.append("-" if saved[row].share is None else f"{saved[row].share:.0%}")
        table.add_row(*cells)
    return table


def claim(first: Priced, second: Priced, prices: Prices) -> list[str]:
    """Say what the report's 60 % becomes."""
    known = [one for one in cost.savings(first.months, second.months) if one.share is not None]
    if not known:
        return ["Nothing to compare: neither can do any of the volumes."]
    held = [one for one in known if (one.share or 0.0) >= CLAIMED_SAVING]
    idle = first.months[0].idle
    lines = [
        f"The report claims {CLAIMED_SAVING:.0%}. Reckoned so, {second.name} saves {known[0].share:.0%} of "
        f"{first.name} at {known[0].volume:,} tasks a month, "
        f"and {known[-1].share:.0%} at {known[-1].volume:,}."
    ]
    lines.append(
        f"{CLAIMED_SAVING:.0%} holds up to {held[-1].volume:,} tasks a month of those listed."
        if held
        else f"{CLAIMED_SAVING:.0%} holds at none of the volumes listed."
    )
    lines.append(
        f"Its {CLAIMED_MONTH_BEFORE:,.0f} a month would be {CLAIMED_MONTH_BEFORE / idle:,.1f} times what {first.name} "
        f"costs idle at these prices ({idle:,.2f})."
        if idle
        else f"{first.name} costs nothing idle."
    )
    return lines


def assumptions(prices: Prices, node: NodeType | None) -> list[str]:
    """Say on what all of it rests."""
    billed = (
        "what pods request, for as long as they exist"
        if node is None
        else f"whole nodes of {node.cores:g} cores and {node.memory_gib:g} GiB at {node.per_hour:g} an hour, as many "
        "as the pods need (classes and tasks still by what they request)"
    )
    return [
        f"Prices: {prices.name} ({prices.source}): {prices.cpu_core_hour:g} {prices.currency} a core-hour, "
        f"{prices.memory_gib_hour:g} a GiB-hour. Paid for: {billed}.",
        "A cycle is the scenario and the time until the replicas are back at their minimum; a month is so many cycles "
        "at equal distances. Not in it: broker, database, storage, traffic, discounts.",
    ]


def document(priced: Sequence[Priced], prices: Prices, node: NodeType | None) -> dict[str, Any]:
    """Return the JSON form."""
    found: dict[str, Any] = {
        "prices": asdict(prices),
        "node": None if node is None else asdict(node),
        "assumptions": assumptions(prices, node),
        "sets": [
            {
                "name": one.name,
                "offered": one.cycle.offered,
                "busy_seconds": one.cycle.busy_seconds,
                "largest_volume": one.largest,
                "classes": [asdict(each) for each in one.by_class],
                "tasks": [{**asdict(task), "per_thousand": task.per_thousand} for task in one.by_task],
                "months": [{**asdict(month), "busy": month.busy} for month in one.months],
            }
            for one in priced
        ],
    }
    if len(priced) == 2:
        both = cost.savings(priced[0].months, priced[1].months)
        found["savings"] = [{"volume": one.volume, "share": one.share} for one in both]
        found["claim"] = claim(priced[0], priced[1], prices)
    return found
