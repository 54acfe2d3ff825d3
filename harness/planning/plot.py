"""A series as a few lines of text. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"
WIDTH = 72
HEIGHT = 5


def resampled(values: Sequence[float], width: int) -> list[float]:
    """Return at most `width` values, each the largest of its stretch: a short peak stays to be seen."""
    if len(values) <= width:
        return list(values)
    edges = [len(values) * index // width for index in range(width + 1)]
    return [max(values[start:end]) for start, end in itertools.pairwise(edges)]


def area(values: Sequence[float], *, top: float | None = None, width: int = WIDTH, height: int = HEIGHT) -> list[str]:
    """Return lines, the highest first, filled from 0 up to each value; `top` is the upper edge's value."""
    shown = resampled(values, width)
    highest = max(top or 0, max(shown, default=0)) or 1
    eighths = [min(round(value / highest * height * 8), height * 8) for value in shown]
    return ["".join(BLOCKS[max(min(level - 8 * row, 8), 0)] for level in eighths) for row in range(height - 1, -1, -1)]


def labelled(lines: Sequence[str], *, top: float, seconds: float) -> list[str]:
    """Put a scale beside an area and a time axis under it."""
    label = f"{top:,.0f}"
    sides = [label, *[""] * (len(lines) - 2), "0"]
    width = len(lines[0])
    end = f"{math.ceil(seconds):,} s"
    axis = "0 s" + end.rjust(max(width - 3, len(end)))
    drawn = [f"{side:>{len(label)}} │{line}" for side, line in zip(sides, lines, strict=True)]
    return [*drawn, f"{'':>{len(label)}} └{'─' * width}", f"{'':>{len(label)}}  {axis}"]
