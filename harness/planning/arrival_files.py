"""Reading what a real day offered: a CSV of counts a minute, or a range export of Prometheus."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.planning.counts import ALL_TASKS, Counts
from harness.simulation import shapes

MINUTE_SECONDS = 60.0
COUNT_COLUMNS = ("count", "tasks", "value")
TASK_LABELS = ("task", "name", "task_name")


def read(path: Path) -> Counts:
    """Return the counts of a file, told apart by its ending. Raises InputError naming file, line and fix."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--arrivals {path}: cannot be read: {error}") from error
    try:
        found = _prometheus(text) if path.suffix == ".json" else _csv(text)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    if not any(map(sum, found.by_task.values())):
        raise InputError(f"{path}: offers no task at all")
    return found


def _csv(text: str) -> Counts:
    columns = shapes.counts_of_csv(text)
    by_task = {ALL_TASKS if name.lower() in COUNT_COLUMNS else name: tuple(each) for name, each in columns.items()}
    return Counts(bucket_seconds=MINUTE_SECONDS, by_task=by_task)


def _prometheus(text: str) -> Counts:
    document = json.loads(text)
    label = _label(document)
    step, rates = shapes.rates_of_prometheus(document, label=label)
    if label is None and len(rates) > 1:
        raise ValueError(
            f"no label {', '.join(TASK_LABELS)} says which task a series counts: sum by (task) (rate(...))"
        )
    by_task = {name if label else ALL_TASKS: tuple(rate * step for rate in each) for name, each in rates.items()}
    return Counts(bucket_seconds=step, by_task=by_task)


def _label(document: Any) -> str | None:
    """Return the label that names the task in every series, None where there is none."""
    data = document.get("data") if isinstance(document, Mapping) else None
    series = data.get("result") if isinstance(data, Mapping) else None
    metrics = [each.get("metric") or {} for each in series or ()]
    return next((label for label in TASK_LABELS if metrics and all(label in each for each in metrics)), None)
