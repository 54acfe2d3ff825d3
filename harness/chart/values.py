"""Values as helm sees them: files laid over each other and over the chart's defaults."""

from __future__ import annotations

import copy
import difflib
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.chart import yaml_strict
from harness.chart.yaml_strict import Document, KeyPath
from harness.errors import HarnessError, InputError

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "celery-workers"
VALUES = ROOT / "values"


@dataclass(frozen=True)
class Values:
    """One set of values: what the user gives, and what it makes of the chart's defaults."""

    documents: tuple[Document, ...]
    overrides: Mapping[str, Any] = field(repr=False)
    merged: Mapping[str, Any] = field(repr=False)

    def source(self, path: KeyPath) -> str | None:
        """Return file:line of the last file that sets `path` or, where none does, the nearest mapping around it."""
        for length in range(len(path), 0, -1):
            for document in reversed(self.documents):
                line = document.lines.get(path[:length])
                if line is not None:
                    return f"{document.name}:{line}" if line else document.name
        return None


def environment_files(names: str, *, directory: Path = VALUES) -> list[Path]:
    """Return the files of `values/` for a list such as "prod,keda", in order. Raises InputError."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = sorted(path.stem for path in directory.glob("*.yaml"))
    if not wanted:
        raise InputError(f"no environment named; use one or more of {', '.join(known)}, as in prod,keda")
    for name in wanted:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise InputError(f"unknown environment {name!r}: {hint}{directory.name}/ has {', '.join(known)}")
        if wanted.count(name) > 1:
            raise InputError(f"environment {name!r} is named twice in {names!r}; name it once")
    return [directory / f"{name}.yaml" for name in wanted]


def load_values(
    paths: Sequence[Path], *, set_values: Mapping[str, Any] | None = None, chart: Path = CHART
) -> dict[str, Any]:
    """Return the chart's defaults with the files and then `set_values` laid over them, as helm does it.

    Maps merge, lists and scalars replace, null removes a default. Raises InputError.
    """
    return dict(read(paths, set_values=set_values, chart=chart).merged)


def read(paths: Sequence[Path], *, set_values: Mapping[str, Any] | None = None, chart: Path = CHART) -> Values:
    """Return the values together with where each key was set. Raises InputError."""
    documents = [yaml_strict.load_document(path) for path in paths]
    if set_values:
        documents.append(_set_document(set_values))
    overrides: dict[str, Any] = {}
    for document in documents:
        overrides = lay_over(overrides, document.data)
    return Values(tuple(documents), overrides, coalesce(overrides, defaults(chart)))


def defaults(chart: Path = CHART) -> dict[str, Any]:
    """Return the chart's own values. Raises HarnessError when there is no chart there."""
    path = chart / "values.yaml"
    if not path.exists():
        raise HarnessError(f"{path} is missing: the chart is read from a checkout, install the package with `pip -e`")
    text = yaml_strict.read_text(path, limit_bytes=yaml_strict.MAX_VALUES_BYTES)
    return copy.deepcopy(_parsed(text, yaml_strict.shown(path)))


@functools.lru_cache(maxsize=8)
def _parsed(text: str, name: str) -> dict[str, Any]:
    return yaml_strict.parse(text, name).data


def lay_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return one values file laid over another; null stays, to remove a default later.

    >>> lay_over({"a": {"x": 1, "y": 2}, "b": [1]}, {"a": {"x": None}, "b": [2]})
    {'a': {'x': None, 'y': 2}, 'b': [2]}
    """
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = lay_over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def classes(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each worker class of merged values over what all of them have."""
    return {name: lay_over(values["workerDefaults"], worker) for name, worker in values["workers"].items()}


def coalesce(overrides: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chart's defaults with the user's values laid over them; null removes a default.

    >>> coalesce({"a": None, "b": {"x": None}}, {"a": 1, "b": {"x": 1, "y": 2}, "c": 3})
    {'b': {'y': 2}, 'c': 3}
    """
    result = {key: copy.deepcopy(value) for key, value in overrides.items() if key not in base}
    for key, default in base.items():
        if key not in overrides:
            result[key] = copy.deepcopy(default)
        elif isinstance(overrides[key], dict) and isinstance(default, dict):
            result[key] = coalesce(overrides[key], default)
        elif overrides[key] is not None:
            result[key] = copy.deepcopy(overrides[key])
    return result


def parse_set(assignments: Sequence[str]) -> dict[str, Any]:
    r"""Return the nested values of `key=value` arguments; the value is YAML, a dot inside a key is written `\.`.

    >>> parse_set(["workers.io.concurrency=100", "commonLabels.example\\.com/team=exam"])
    {'workers': {'io': {'concurrency': 100}}, 'commonLabels': {'example.com/team': 'exam'}}
    """
    result: dict[str, Any] = {}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator:
            raise InputError(f"--set {assignment}: write KEY=VALUE, as in workers.io.concurrency=100")
        result = lay_over(result, _nest(key, yaml_strict.load_scalar(text, f"--set {key}")))
    return result


def nested(set_values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values given by dotted keys (or nested maps) as one nested map. Raises InputError."""
    result: dict[str, Any] = {}
    for key, value in set_values.items():
        result = lay_over(result, _nest(key, value))
    return result


def _nest(key: str, value: Any) -> dict[str, Any]:
    parts = [part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", key)]
    if not all(parts):
        raise InputError(f"--set {key}: a part of the key is empty; write it as in workers.io.concurrency")
    if any(re.search(r"\[\d*\]", part) for part in parts):
        raise InputError(f"--set {key}: helm replaces lists whole; give the whole list, as in routes='[{{...}}]'")
    for part in reversed(parts):
        value = {part: value}
    result: dict[str, Any] = value
    return result


def _set_document(set_values: Mapping[str, Any]) -> Document:
    data = nested(set_values)
    lines: dict[KeyPath, int] = {}

    def note(value: Any, path: KeyPath) -> None:
        if path:
            lines[path] = 0  # a command line has none
        if isinstance(value, dict):
            for key, inner in value.items():
                note(inner, (*path, key))

    note(data, ())
    return Document("--set", data, lines)
