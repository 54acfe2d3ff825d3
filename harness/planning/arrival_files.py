"""Reading what a real day offered: a CSV of counts a minute, or a range export of Prometheus."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.planning.counts import ALL_TASKS, Counts

MINUTE_SECONDS = 60.0
TIME_COLUMNS = ("minute", "time", "timestamp", "date", "")
COUNT_COLUMNS = ("count", "tasks", "value")
TASK_LABELS = ("task", "name", "task_name")


def read(path: Path) -> Counts:
    """Return the counts of a file, told apart by its ending. Raises InputError naming file, line and fix."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--arrivals {path}: cannot be read: {error}") from error
    found = _prometheus(path, text) if path.suffix == ".json" else _csv(path, text)
    if not any(map(sum, found.by_task.values())):
        raise InputError(f"{path}: offers no task at all")
    return found


def _csv(path: Path, text: str) -> Counts:
    """One line a minute, one column a task; a first column of times is left out, one alone may have no heading."""
    rows = [row for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]
    if not rows:
        raise InputError(f"{path}: empty; expected a line of task names, then a line of counts for each minute")
    heads = [cell.strip() for cell in rows[0]]
    if len(heads) == 1 and _is_number(heads[0]):
        heads, body, first_line = [COUNT_COLUMNS[0]], rows, 1
    else:
        body, first_line = rows[1:], 2
    skipped = 1 if len(heads) > 1 and heads[0].lower() in TIME_COLUMNS else 0
    names = [ALL_TASKS if head.lower() in COUNT_COLUMNS else head for head in heads[skipped:]]
    if len(set(names)) != len(names):
        raise InputError(f"{path}:1: a column stands there twice: {', '.join(heads)}")
    columns: dict[str, list[float]] = {name: [] for name in names}
    for line, row in enumerate(body, start=first_line):
        cells = row[skipped:]
        if len(cells) != len(names):
            raise InputError(f"{path}:{line}: {len(cells)} counts, the heading names {len(names)}")
        for name, cell in zip(names, cells, strict=True):
            columns[name].append(_count(cell, f"{path}:{line}: {name or 'count'}"))
    return Counts(bucket_seconds=MINUTE_SECONDS, by_task={name: tuple(values) for name, values in columns.items()})


def _prometheus(path: Path, text: str) -> Counts:
    """The answer of /api/v1/query_range: series of tasks a second, one a task by its label, or one for all."""
    try:
        series = json.loads(text)["data"]["result"]
        step = _step(series)
        start = min(float(one["values"][0][0]) for one in series)
        length = max(round((float(one["values"][-1][0]) - start) / step) + 1 for one in series)
        by_task: dict[str, list[float]] = {}
        for index, one in enumerate(series):
            name = _task_of(one["metric"], alone=len(series) == 1, where=f"{path}: series {index}")
            values = by_task.setdefault(name, [0.0] * length)
            for at, value in one["values"]:
                rate = float(value)
                values[round((float(at) - start) / step)] += rate * step if math.isfinite(rate) and rate > 0 else 0.0
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(
            f"{path}: no range export of Prometheus ({type(error).__name__}: {error}); "
            "save the answer of /api/v1/query_range for a query such as sum by (task) (rate(tasks_total[1m]))"
        ) from error
    return Counts(bucket_seconds=step, by_task={name: tuple(values) for name, values in by_task.items()})


def _step(series: list[dict[str, Any]]) -> float:
    """Return the seconds between two values: the smallest there is, so that gaps do not widen it."""
    gaps = [
        float(later[0]) - float(earlier[0])
        for one in series
        for earlier, later in zip(one["values"], one["values"][1:], strict=False)
    ]
    if not gaps or min(gaps) <= 0:
        raise ValueError("fewer than two values in order of time")
    return min(gaps)


def _task_of(labels: dict[str, str], *, alone: bool, where: str) -> str:
    found = next((labels[label] for label in TASK_LABELS if label in labels), None)
    if found is None and not alone:
        raise InputError(f"{where}: no label {', '.join(TASK_LABELS)} says which task it counts: sum by (task)")
    return found or ALL_TASKS


def _count(cell: str, where: str) -> float:
    text = cell.strip() or "0"
    if not _is_number(text) or not math.isfinite(float(text)) or float(text) < 0:
        raise InputError(f"{where}: {cell!r} is no count")
    return float(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
