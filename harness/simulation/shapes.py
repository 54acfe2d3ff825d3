"""When tasks arrive: due times in seconds from the start of the load, in order, made of parsed data and chance.

Counts over time become due times in one of two ways: spread evenly, or at random as independent users would (a Poisson
stream of which the totals are known).
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]


def constant(rate_per_second: float, seconds: float) -> Times:
    """Return evenly spaced times, the first at 0. Raises ValueError for a negative rate or length."""
    _check(rate_per_second=rate_per_second, seconds=seconds)
    count = math.ceil(rate_per_second * seconds - 1e-9)
    return np.arange(count) / rate_per_second if count else np.zeros(0)


def burst(count: int, *, at_seconds: float = 0.0) -> Times:
    """Return that many times at once. Raises ValueError for a negative count."""
    _check(count=count, at_seconds=at_seconds)
    return np.full(count, float(at_seconds))


def poisson(rate_per_second: float, seconds: float, rng: np.random.Generator) -> Times:
    """Return the times of a Poisson stream. Raises ValueError for a negative rate or length."""
    _check(rate_per_second=rate_per_second, seconds=seconds)
    return np.sort(rng.random(rng.poisson(rate_per_second * seconds)) * seconds)


def steps(parts: Sequence[tuple[float, float]], *, rng: np.random.Generator | None = None) -> Times:
    """Return times of parts of (seconds, tasks a second), one after another; with `rng` each a Poisson stream."""
    found, start = [np.zeros(0)], 0.0
    for seconds, rate in parts:
        found.append(start + (constant(rate, seconds) if rng is None else poisson(rate, seconds, rng)))
        start += seconds
    return np.concatenate(found)


def ramp(
    first_per_second: float, last_per_second: float, seconds: float, *, rng: np.random.Generator | None = None
) -> Times:
    """Return times whose rate goes straight from one figure to another; with `rng` a Poisson stream.

    The expected count until t is N(t) = first t + (last - first) t^2 / (2 seconds); the times are its inverse at
    0, 1, 2, ..., or at the times of a Poisson stream of rate 1.
    """
    _check(first_per_second=first_per_second, last_per_second=last_per_second, seconds=seconds)
    total = (first_per_second + last_per_second) / 2 * seconds
    counts = constant(1.0, total) if rng is None else poisson(1.0, total, rng)
    slope = (last_per_second - first_per_second) / seconds if seconds else 0.0
    if slope == 0.0:
        return counts / first_per_second if len(counts) else counts
    # 2 N / (first + sqrt(...)) and not (sqrt(...) - first) / slope: no difference of nearly equal numbers.
    root = np.sqrt(np.maximum(first_per_second**2 + 2 * slope * counts, 0.0))
    return np.minimum(2 * counts / np.maximum(first_per_second + root, np.finfo(float).tiny), seconds)


def counts(numbers: Iterable[float], *, period_seconds: float = 60.0, rng: np.random.Generator | None = None) -> Times:
    """Return times of counts by period (a minute); with `rng` at random inside each, else evenly.

    A fraction of a task is carried into the next period, so that the total is right. Raises ValueError for a negative
    count.
    """
    found, carried, start = [np.zeros(0)], 0.0, 0.0
    for number in numbers:
        _check(count=number, period_seconds=period_seconds)
        whole = math.floor(number + carried + 1e-9)
        carried += number - whole
        places = (np.arange(whole) + 0.5) / whole if rng is None and whole else np.zeros(0)
        found.append(start + period_seconds * (places if rng is None else np.sort(rng.random(whole))))
        start += period_seconds
    return np.concatenate(found)


def merged(*streams: Times) -> tuple[Times, NDArray[np.int32]]:
    """Return several streams in order of time, and which of them each time is from: a `Load`'s two arrays."""
    times = np.concatenate([np.zeros(0), *streams])
    sources = np.concatenate(
        [np.zeros(0, np.int32), *(np.full(len(stream), index, np.int32) for index, stream in enumerate(streams))]
    )
    order = np.argsort(times, kind="stable")
    return times[order], sources[order]


def counts_of_csv(text: str) -> dict[str, list[float]]:
    """Read a CSV of counts a minute: a header, a row a minute; the first column names the minute, each other is a task.

    Without a second column, or without a header, the only column of numbers is "tasks". Raises ValueError naming the
    line.
    """
    rows = [(number, row) for number, row in enumerate(csv.reader(text.splitlines()), start=1) if any(row)]
    if not rows:
        raise ValueError("the CSV is empty; expected a header and a row of counts a minute")
    header = rows[0][1]
    if all(_is_number(cell) for cell in header):
        names = ["tasks"] if len(header) == 1 else ["minute", *_numbered(len(header) - 1)]
    else:
        names, rows = [cell.strip() for cell in header], rows[1:]
    first = 0 if len(names) == 1 else 1
    found: dict[str, list[float]] = {name: [] for name in names[first:]}
    if len(found) != len(names) - first or not rows:
        raise ValueError("the CSV needs a name for each column, each once, and a row or more of counts")
    for number, row in rows:
        if len(row) != len(names):
            raise ValueError(f"line {number} has {len(row)} columns, expected {len(names)}: {', '.join(names)}")
        for name, cell in zip(names[first:], row[first:], strict=True):
            found[name].append(_count(cell, f"line {number}, {name}"))
    return found


def _numbered(count: int) -> list[str]:
    return ["tasks"] if count == 1 else [f"tasks{index}" for index in range(1, count + 1)]


def rates_of_prometheus(
    document: Mapping[str, Any], *, label: str | None = None
) -> tuple[float, dict[str, list[float]]]:
    """Read a range query's answer (`/api/v1/query_range`): seconds between samples, and a rate a second by series.

    A series is called by its `label`, or by all of its labels. All have the grid of the whole answer; where one has no
    sample its rate is 0. Raises ValueError saying what the document is not.
    """
    data = document.get("data") if isinstance(document, Mapping) else None
    if not isinstance(data, Mapping) or data.get("resultType") != "matrix" or not data.get("result"):
        raise ValueError("expected the answer of a Prometheus range query: data.resultType matrix, with a series")
    series: dict[str, dict[float, float]] = {}
    for entry in data["result"]:
        name = _series_name(entry.get("metric") or {}, label)
        values = series.setdefault(name, {})
        for at, value in entry.get("values") or ():
            values[float(at)] = values.get(float(at), 0.0) + _count(value, f"{name} at {at}")
    grid = sorted({at for values in series.values() for at in values})
    if len(grid) < 2:
        raise ValueError("the range query's answer needs two samples or more; use a longer range or a shorter step")
    step = min(after - before for before, after in itertools.pairwise(grid))
    places = [round((at - grid[0]) / step) for at in grid]
    rates = {name: [0.0] * (places[-1] + 1) for name in series}
    for name, values in series.items():
        for at, place in zip(grid, places, strict=True):
            rates[name][place] = values.get(at, 0.0)
    return step, rates


def _series_name(labels: Mapping[str, Any], label: str | None) -> str:
    if label is not None:
        if label not in labels:
            raise ValueError(f"a series has no label {label!r}; it has: {', '.join(sorted(labels)) or 'none'}")
        return str(labels[label])
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "tasks"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _count(value: Any, where: str) -> float:
    number = float(value) if _is_number(str(value)) else math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{where}: {value!r} is no count, expected a number of 0 or more")
    return number


def _check(**figures: float) -> None:
    for name, value in figures.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value}, must be 0 or more")
