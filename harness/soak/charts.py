"""The lines of a soak's charts, as points in a box. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.soak.verdict import Sample, StrikeRow, rates, run_seconds

WIDTH, HEIGHT = 1000.0, 160.0
MOST_POINTS = 400
MINUTE_STEPS = (1, 2, 5, 10, 15, 30, 60)


@dataclass(frozen=True)
class Line:
    """One line: its name, its colour (a name of the report's palette), its points in segments without holes."""

    name: str
    colour: str
    segments: Sequence[str]


@dataclass(frozen=True)
class Chart:
    """One panel: `top` is the value of its upper edge, `ticks` are positions and words along the time axis."""

    title: str
    unit: str
    top: float
    lines: Sequence[Line]
    ticks: Sequence[tuple[float, str]]
    marks: Sequence[tuple[float, str]]


def charts(samples: Sequence[Sample], strikes: Sequence[StrikeRow]) -> list[Chart]:
    """Return the panels: rate, what waits, pods that are ready."""
    times = [run_seconds(samples, sample["t"]) for sample in samples]
    queues = sorted({name for sample in samples for name in sample["queues"] or {}})
    pods = sorted({name for sample in samples for name in sample["pods"]})
    series: list[tuple[str, str, dict[str, list[float | None]]]] = [
        ("Tasks done", "a second", {"done": rates(samples)}),
        ("In the queues", "messages", {name: [_held(one, name) for one in samples] for name in queues}),
        ("Pods ready", "pods", {name: [_ready(one, name) for one in samples] for name in pods}),
    ]
    return [_chart(title, unit, values, times, strikes) for title, unit, values in series]


def _held(sample: Sample, queue: str) -> float | None:
    held = (sample["queues"] or {}).get(queue)
    return None if held is None else float(sum(held))


def _ready(sample: Sample, name: str) -> float | None:
    pods = sample["pods"].get(name)
    return None if pods is None else float(pods[0])


def _chart(
    title: str,
    unit: str,
    values: Mapping[str, Sequence[float | None]],
    times: Sequence[float],
    strikes: Sequence[StrikeRow],
) -> Chart:
    last = max(times, default=0.0) or 1.0
    thinned = {name: _thin(times, series) for name, series in values.items()}
    top = max((value for points in thinned.values() for _, value in points if value is not None), default=0.0) or 1.0
    lines = [
        Line(name, f"series-{place % 6 + 1}", _segments(points, last=last, top=top))
        for place, (name, points) in enumerate(thinned.items())
    ]
    marks = [(WIDTH * strike.at_seconds / last, f"{strike.fault} at {strike.at_seconds:,.0f} s") for strike in strikes]
    return Chart(title, unit, top, lines, _ticks(last), marks)


def _thin(times: Sequence[float], series: Sequence[float | None]) -> list[tuple[float, float | None]]:
    """Return means of neighbours, so that there are no more points than one can see; a hole stays a hole."""
    width = max(1, -(-len(times) // MOST_POINTS))
    found: list[tuple[float, float | None]] = []
    for start in range(0, len(times), width):
        known = [value for value in series[start : start + width] if value is not None]
        found.append((times[start], sum(known) / len(known) if known else None))
    return found


def _segments(points: Sequence[tuple[float, float | None]], *, last: float, top: float) -> list[str]:
    segments: list[list[str]] = [[]]
    for at, value in points:
        if value is None:
            segments.append([])
        else:
            segments[-1].append(f"{WIDTH * at / last:.1f},{HEIGHT * (1 - value / top):.1f}")
    return [" ".join(segment) for segment in segments if segment]


def _ticks(last_seconds: float) -> list[tuple[float, str]]:
    minutes = last_seconds / 60
    step = next((one for one in MINUTE_STEPS if minutes / one <= 10), MINUTE_STEPS[-1])
    return [(WIDTH * at * 60 / last_seconds, f"{at} min") for at in range(0, int(minutes) + 1, step)]
