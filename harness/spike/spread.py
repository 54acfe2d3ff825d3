"""What several runs came to in one figure: its median and range, and that of two ways by each other. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """The median of a figure, the least and the largest of the runs, and how many runs have it: at least one."""

    median: float
    lowest: float
    highest: float
    runs: int


def spread_of(values: Iterable[float | None]) -> Spread | None:
    """Return what the runs came to; None stands for a run without the figure, and is returned where no run has it."""
    known = [value for value in values if value is not None]
    return Spread(median(known), min(known), max(known), len(known)) if known else None


def ratio_of(over: Spread | None, under: Spread | None) -> Spread | None:
    """Return one by the other: of the medians, and the least and the largest that single runs allow.

    None without both, and where `under` was nothing or came about in no run. `runs` are those of the smaller side.
    """
    if over is None or under is None or under.lowest <= 0 or math.isinf(under.lowest):
        return None
    return Spread(
        over.median / under.median,
        over.lowest / under.highest,
        over.highest / under.lowest,
        min(over.runs, under.runs),
    )
