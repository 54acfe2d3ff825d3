"""What several runs came to in one figure: its median and range, and that of two ways by each other. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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

    None without both, and where `under` was nothing. What never came about is endless: two such are alike. `runs` are
    those of the smaller side.
    """
    if over is None or under is None or under.lowest <= 0:
        return None
    return Spread(
        _by(over.median, under.median),
        _by(over.lowest, under.highest),
        _by(over.highest, under.lowest),
        min(over.runs, under.runs),
    )


def all_of(parts: Sequence[Spread]) -> Spread | None:
    """Return the median of medians over the whole range; None where there is nothing."""
    if not parts:
        return None
    return Spread(
        median(one.median for one in parts),
        min(one.lowest for one in parts),
        max(one.highest for one in parts),
        sum(one.runs for one in parts),
    )


def _by(over: float, under: float) -> float:
    return 1.0 if math.isinf(over) and math.isinf(under) else over / under
