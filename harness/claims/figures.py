"""Reading a figure out of a result's JSON. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ANY = "*"
NEVER = math.inf
"""What never came about."""
MISSING = object()


@dataclass(frozen=True)
class Figure:
    """How a figure is read.

    `kind` names one of KINDS; `path` leads to what it looks at, "*" standing for every key and entry.
    `of` is the kind's further argument: the path to divide by, a least value, or what an entry must have.
    """

    kind: str
    path: str
    of: Any = None

    def read(self, document: Any) -> float | None:
        """Return the figure, None where the document does not have it."""
        return _READERS[self.kind](document, self)


def find(document: Any, path: str) -> Iterator[Any]:
    """Yield what a dotted path leads to; more than one thing where it has a "*"."""
    key, _, rest = path.partition(".")
    for value in _step(document, key):
        if rest:
            yield from find(value, rest)
        else:
            yield value


def _step(document: Any, key: str) -> Iterator[Any]:
    if isinstance(document, Mapping):
        if key == ANY:
            yield from document.values()
        elif key in document:
            yield document[key]
    elif isinstance(document, list):
        if key == ANY:
            yield from document
        elif key.isdigit() and int(key) < len(document):
            yield document[int(key)]


def _value(document: Any, figure: Figure) -> float | None:
    """Return the number itself, the sum where the path leads to several."""
    found = [value for value in find(document, figure.path) if isinstance(value, int | float)]
    return float(sum(found)) if found else None


def _moment(document: Any, figure: Figure) -> float | None:
    """Return the seconds until something came about, NEVER where the document has none for it."""
    found = next(find(document, figure.path), MISSING)
    if found is None:
        return NEVER
    return float(found) if isinstance(found, int | float) else None


def _highest(document: Any, figure: Figure) -> float | None:
    """Return the highest of a series, of the sum of several at each moment."""
    return max((value for value in _series(document, figure.path) if value is not None), default=None)


def _share(document: Any, figure: Figure) -> float | None:
    """Return one number divided by another."""
    over, under = _value(document, figure), _value(document, Figure("value", figure.of))
    return None if over is None or not under else over / under


def _reached(document: Any, figure: Figure) -> float | None:
    """Return at which second of the run a series first had a value, NEVER where it did not."""
    series = _series(document, figure.path)
    seconds: list[float] = next(find(document, "timeline.seconds"), [])
    if not series:
        return None
    at = (second for second, value in zip(seconds, series, strict=False) if value is not None and value >= figure.of)
    return float(next((second for second in at if second >= 0), NEVER))


def _count(document: Any, figure: Figure) -> float | None:
    """Return how many entries of a list have what is asked."""
    entries = next(find(document, figure.path), None)
    if not isinstance(entries, list):
        return None
    return float(sum(all(entry.get(key) == value for key, value in figure.of.items()) for entry in entries))


def _passed(document: Any, figure: Figure) -> float | None:
    """Return 1 when each of these tests has passed with all its parameters, 0 when not, None if one was not run."""
    entries = next(find(document, figure.path), None) or []
    outcomes = {name: [each["outcome"] for each in entries if _is_of(name, each["name"])] for name in figure.of}
    if not all(outcomes.values()):
        return None
    return float(all(outcome == "passed" for each in outcomes.values() for outcome in each))


def _is_of(name: str, node_id: str) -> bool:
    return node_id.partition("[")[0] == name


def _objective(document: Any, figure: Figure) -> float | None:
    """Return what a run measured for one of its objectives."""
    for outcome in next(find(document, figure.path), None) or []:
        if outcome["name"] == figure.of:
            return None if outcome["measured"] is None else float(outcome["measured"])
    return None


def _series(document: Any, path: str) -> Sequence[float | None]:
    """Return a series; where the path leads to several, their sum at each moment, None where none has a value."""
    return summed([one for one in find(document, path) if isinstance(one, list)])


def summed(series: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Return the sum of several series at each moment, None where none of them has a value."""
    moments = zip(*series, strict=True)
    return [sum(known) if (known := [v for v in moment if v is not None]) else None for moment in moments]


_READERS = {
    "value": _value,
    "moment": _moment,
    "highest": _highest,
    "share": _share,
    "reached": _reached,
    "count": _count,
    "passed": _passed,
    "objective": _objective,
}
KINDS = tuple(_READERS)
