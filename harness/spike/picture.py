"""A run as one picture, for a page that shows no HTML: what came, what waited, how many pods there were. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from harness.spike import words
from harness.spike.panels import Panel, Series, marks, panels
from harness.spike.report import PALETTE, page_templates
from harness.spike.result import Result

SHOWN = ("rates", "depth", "replicas")
LEFT, WIDTH, HEIGHT = 64.0, 876.0, 110.0  # of a panel's axes, in the picture's units
SENTENCE, LINE, BETWEEN = 58.0, 17.0, 64.0
TOTAL_WIDTH = LEFT + WIDTH + 20
LETTER_WIDTH, LEGEND_LINE, LEGEND_GAP = 6.9, 23.0, 16.0  # a legend's letters, about; the line before them
LETTERS_A_LINE = 145
SECOND_STEPS = (5, 10, 15, 30, 60, 120, 300, 600, 1800)
TICKS_AT_MOST = 12
DASHES = {"solid": "", "dash": "6 4", "dot": "2 3", "longdash": "12 4"}


@dataclass(frozen=True)
class Time:
    """The axis that all panels share, in seconds since the load began; a run may be watched from before that."""

    first: float
    last: float

    def x(self, at_seconds: float) -> float:
        """Return a moment's place across the picture."""
        return round(LEFT + WIDTH * (at_seconds - self.first) / (self.last - self.first), 1)

    def has(self, at_seconds: float) -> bool:
        """Tell whether a moment lies on the axis."""
        return self.first <= at_seconds <= self.last

    def ticks(self) -> range:
        """Return the moments to be written on the axis, in even steps from the load's begin on."""
        step = next((one for one in SECOND_STEPS if self.last / one <= TICKS_AT_MOST), SECOND_STEPS[-1])
        return range(0, int(self.last) + 1, step)


@dataclass(frozen=True)
class Curve:
    """A series as paths; `area` is empty where the space under it is not filled. `legend_x` is its name's place."""

    name: str
    colour: str
    dashes: str
    line: str
    area: str
    legend_x: float


@dataclass(frozen=True)
class Axes:
    """A panel at its place: `y` is its upper edge, `levels` are heights with their words."""

    title: str
    unit: str
    y: float
    curves: Sequence[Curve]
    levels: Sequence[tuple[float, str]]


def render(result: Result) -> str:
    """Return the picture as SVG. It loads nothing, has light and dark colours, and tells its verdict in words.

    Raises ValueError where the run's timeline has nothing to draw.
    """
    drawn = [panel for panel in panels(result) if panel.key in SHOWN]
    seconds = result.timeline.seconds
    if not drawn or len(seconds) < 2:
        raise ValueError(f"the run of {result.scenario} has no timeline to draw")
    verdict = words.verdict(result)
    sentence = [(SENTENCE + LINE * number, line) for number, line in enumerate(wrap(verdict.sentence, LETTERS_A_LINE))]
    top = sentence[-1][0] + BETWEEN - 10
    time = Time(seconds[0], seconds[-1])
    axes = [_axes(panel, seconds, time, top + number * (HEIGHT + BETWEEN)) for number, panel in enumerate(drawn)]
    return (
        page_templates()
        .get_template("picture.svg.j2")
        .render(
            headline=verdict.headline,
            kind=verdict.kind,
            about=f"{result.scenario} on {result.runtime}",
            sentence=sentence,
            summary=" ".join([verdict.sentence, *(panel.summary for panel in drawn)]),
            axes=axes,
            marks=[(time.x(mark.at_seconds), mark) for mark in marks(result) if time.has(mark.at_seconds)],
            ticks=[(time.x(at), words.seconds(at)) for at in time.ticks()],
            box={"left": LEFT, "width": WIDTH, "height": HEIGHT, "total_width": TOTAL_WIDTH},
            total_height=axes[-1].y + HEIGHT + 34,
            palette=PALETTE,
        )
    )


def _axes(panel: Panel, seconds: Sequence[int], time: Time, y: float) -> Axes:
    highest = max((value for series in panel.series for value in series.values if value is not None), default=0.0)
    top = _round_up(highest)
    step = _step(top)
    levels = [
        (y + HEIGHT * (1 - number * step / top), f"{number * step:,.0f}") for number in range(int(top / step) + 1)
    ]

    def height(value: float) -> float:
        return y + HEIGHT * (1 - value / top)

    x, curves = LEFT + WIDTH + LEGEND_GAP, []
    for series in reversed(panel.series):  # the legend ends at the right edge
        x -= LEGEND_LINE + LETTER_WIDTH * len(series.name) + LEGEND_GAP
        curves.append(_curve(series, [time.x(at) for at in seconds], height, legend_x=x))
    return Axes(panel.title, panel.unit, y, curves[::-1], levels)


def _curve(series: Series, at: Sequence[float], height: Callable[[float], float], *, legend_x: float) -> Curve:
    lines, areas = [], []
    for points in _pieces(at, series.values):
        path = _path([(x, height(value)) for x, value in points], step=series.step)
        lines.append(path)
        areas.append(f"{path}V{height(0):.1f}H{points[0][0]:.1f}Z" if series.filled else "")
    return Curve(series.name, series.colour, DASHES[series.dash], "".join(lines), "".join(areas), legend_x)


def _pieces(at: Sequence[float], values: Sequence[float | None]) -> Iterator[list[tuple[float, float]]]:
    """Yield stretches of a series without holes."""
    piece: list[tuple[float, float]] = []
    for x, value in zip(at, values, strict=False):
        if value is not None:
            piece.append((x, value))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _path(points: Sequence[tuple[float, float]], *, step: bool) -> str:
    (x, y), *rest = points
    parts = [f"M{x:.1f} {y:.1f}"]
    for x, y in rest:
        parts.append(f"H{x:.1f}V{y:.1f}" if step else f"L{x:.1f} {y:.1f}")
    return "".join(parts)


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 2.5, 5 times a power of ten, at least 1."""
    if value <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 2.5, 4, 5, 8, 10) if factor * power >= value)


def _step(top: float) -> float:
    """Return whole steps, at most five, of an axis that ends at `top`."""
    return next(top / parts for parts in (4, 5, 2, 1) if (top / parts).is_integer() or parts == 1)
