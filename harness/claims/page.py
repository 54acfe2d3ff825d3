"""docs/claims.md. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from harness.claims.record import KeptRun
from harness.claims.verdicts import DOES_NOT_HOLD, HOLDS, HOLDS_IF, NOT_RUN, Judged, Measured

TITLES = {"report": "The optimisation report", "guide": "The spike guide"}
HEADER = """# What the two documents claim, and what runs say

Written by `make claims` from result files and [claims.yaml](claims.yaml), which says how each figure is read: change
that file, or make runs, not this page. A claim gets a verdict only when every run that it needs was made. Figures are
the median of the runs, with the range; "simulated" is what was foretold before those runs. Runs may be gone:
claims-runs.json keeps what was read from each.
"""
EMPTY = "-"


def markdown(judged: Sequence[Judged], runs: Sequence[KeptRun] = ()) -> str:
    """Return the page. `runs` are those behind it."""
    parts = [HEADER, _summary(judged), ""]
    for document, title in TITLES.items():
        told = [one for one in judged if one.claim.document == document and one.verdict != NOT_RUN]
        if told:
            parts += [f"## {title}", "", *_table(told), ""]
    waiting = [one for one in judged if one.verdict == NOT_RUN]
    if waiting:
        parts += ["## Not yet run", "", *_pending(waiting), ""]
    if runs:
        parts += ["## The runs behind it", "", *_runs(runs), ""]
    return "\n".join(parts)


def _summary(judged: Sequence[Judged]) -> str:
    counts = {verdict: sum(one.verdict == verdict for one in judged) for verdict in (HOLDS, HOLDS_IF, DOES_NOT_HOLD)}
    waiting = sum(one.verdict == NOT_RUN for one in judged)
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return f"{len(judged)} claims: {told}, {waiting} not yet run."


def _table(judged: Sequence[Judged]) -> Iterator[str]:
    yield "| claim | where | measured | simulated | verdict | what to set |"
    yield "|---|---|---|---|---|---|"
    for one in judged:
        cells = (
            f"{one.claim.words} (`{one.claim.id}`)",
            one.claim.section,
            "<br>".join(_measured(one, found) for found in one.measured),
            "<br>".join(number(found.simulated, one.claim.unit) for found in one.measured),
            f"**{_verdict(one)}**",
            one.claim.remedy if one.verdict != HOLDS else EMPTY,
        )
        yield _row(cells)


def _verdict(one: Judged) -> str:
    conditions = [found.given for found in one.measured if found.holds and found.given]
    return f"{HOLDS_IF} {' or '.join(conditions)}" if one.verdict == HOLDS_IF else one.verdict


def _measured(one: Judged, found: Measured) -> str:
    unit = one.claim.unit
    spread = found.spread
    text = number(spread.median, unit)
    if spread.lowest != spread.highest:
        text += f" ({number(spread.lowest)} to {number(spread.highest)})"
    runs = "1 run" if spread.runs == 1 else f"{spread.runs} runs"
    return f"{f'{found.given}: ' if found.given else ''}{text}, {runs}"


def number(value: float | None, unit: str = "") -> str:
    """Return a figure in at most three digits behind the point."""
    if value is None:
        return EMPTY
    if math.isinf(value):
        return "never"
    text = f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.3g}"
    return f"{text} {unit}".strip()


def _pending(judged: Sequence[Judged]) -> Iterator[str]:
    yield "| claim | where | run |"
    yield "|---|---|---|"
    for one in judged:
        commands = "<br>".join(f"`{command}`" for command in one.pending)
        yield _row((f"{one.claim.words} (`{one.claim.id}`)", one.claim.section, commands))


def _runs(runs: Sequence[KeptRun]) -> Iterator[str]:
    yield "| result | made | of commit |"
    yield "|---|---|---|"
    for one in runs:
        made = EMPTY if one.made_at is None else f"{datetime.fromtimestamp(one.made_at, UTC):%Y-%m-%d %H:%M}"
        yield _row((f"`{one.name}`", made, EMPTY if one.commit is None else f"`{one.commit}`"))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def document(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return the JSON form."""
    return [
        {
            "id": one.claim.id,
            "document": one.claim.document,
            "section": one.claim.section,
            "words": one.claim.words,
            "verdict": one.verdict,
            "remedy": one.claim.remedy,
            "pending": list(one.pending),
            "measured": [
                {
                    "given": found.given, "median": _finite(found.spread.median),
                    "lowest": _finite(found.spread.lowest), "highest": _finite(found.spread.highest),
                    "runs": found.spread.runs, "simulated": _finite(found.simulated),
                    "holds": found.holds, "unit": one.claim.unit,
                }
                for found in one.measured
            ],
        }
        for one in judged
    ]  # fmt: skip


def _finite(value: float | None) -> float | None:
    """JSON has no infinity: what never came about is null."""
    return None if value is None or math.isinf(value) else value
