"""What the runs say of each claim. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

from harness.claims import figures
from harness.claims.catalogue import Claim, Runs, Trial
from harness.claims.figures import Figure
from harness.spike.spread import Spread, all_of, ratio_of, spread_of

HOLDS = "holds"
HOLDS_IF = "holds if"
DOES_NOT_HOLD = "does not hold"
NOT_RUN = "not yet run"
VALUES = "values"
COMPARISON = "compare-"
"""How the folders of comparisons begin, each of which has runs of its own."""


@dataclass(frozen=True)
class Reading:
    """A figure as a run measured it and as it was foretold of it, None where the run does not have it."""

    measured: float | None
    foretold: float | None


class Run(Protocol):
    """What was left of a run. `made_at` is in seconds since the epoch."""

    @property
    def name(self) -> str:
        """The path of its result file below the reports."""

    @property
    def made_at(self) -> float | None:
        """When it was made."""

    @property
    def commit(self) -> str | None:
        """What it was made of."""

    def reading(self, runs: Runs, figure: Figure) -> Reading | None:
        """Return what it says of a figure of such runs, None where it is not one of them."""


@dataclass(frozen=True)
class File:
    """A result file: its path below the reports, and what it says."""

    name: str
    document: Mapping[str, Any]
    written_at: float | None = None

    @property
    def made_at(self) -> float | None:
        """When the run began, where it says so, else when the file was written."""
        began = self.document.get("started_at")
        return float(began) if isinstance(began, int | float) else self.written_at

    @property
    def commit(self) -> str | None:
        """The commit that the run was made of, where it says so."""
        return next((str(one) for one in figures.find(self.document, "setup.commit") if one), None)

    def reading(self, runs: Runs, figure: Figure) -> Reading | None:
        """Return what it says of a figure of such runs, None where it is not one of them."""
        if not _counts(runs, self):
            return None
        return Reading(figure.read(self.document), figure.read(self.document.get("forecast")))


@dataclass(frozen=True)
class Measured:
    """What the runs of one test came to; `simulated` is the median of their forecasts', where they have the figure."""

    given: str | None
    spread: Spread
    simulated: float | None
    holds: bool


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict. `pending` are the commands that are still to be run, in order."""

    claim: Claim
    verdict: str
    measured: tuple[Measured, ...]
    pending: tuple[str, ...]


def judge(claim: Claim, files: Sequence[Run]) -> Judged:
    """Judge one claim; without a run for each of its tests it has no verdict.

    It holds where the test of the document's own figures does, holds if a condition is met where another test does.
    """
    tested = [(test, _measure(claim, test, files)) for test in claim.tests]
    measured = tuple(found for _, found in tested if found is not None)
    pending = tuple(dict.fromkeys(one for test, found in tested if found is None for one in _pending(test, files)))
    return Judged(claim, _verdict(measured, complete=len(measured) == len(tested)), measured, pending)


def _verdict(measured: Sequence[Measured], *, complete: bool) -> str:
    if not complete:
        return NOT_RUN
    if any(one.holds for one in measured if one.given is None):
        return HOLDS
    return HOLDS_IF if any(one.holds for one in measured) else DOES_NOT_HOLD


def _measure(claim: Claim, test: Trial, files: Sequence[Run]) -> Measured | None:
    found, foretold = (_spread(test, files, forecast=forecast) for forecast in (False, True))
    if found is None:
        return None
    simulated = foretold.median if foretold else None
    enough = claim.least is None or found.median >= claim.least
    holds = enough and (claim.most is None or found.median <= claim.most)
    return Measured(test.given, found, simulated, holds)


def _spread(test: Trial, files: Sequence[Run], *, forecast: bool) -> Spread | None:
    """Return what the runs of a test came to, or what was foretold of them: by other runs where it names such."""
    if test.than is None:
        return spread_of(_figures(test.runs, test.figure, files, forecast=forecast))
    ratios = []
    for each in _together(test.runs, files):
        over, under = (spread_of(_figures(one, test.figure, each, forecast=forecast)) for one in (test.runs, test.than))
        ratio = ratio_of(over, under)
        if ratio is not None:
            ratios.append(ratio)
    return all_of(ratios)


def _together(runs: Runs, files: Sequence[Run]) -> Iterable[Sequence[Run]]:
    """Return the files that may be divided by each other: of a comparison its own, another may have another budget."""
    apart = all(pattern.startswith(COMPARISON) for pattern in runs.files)
    together: dict[str, list[Run]] = {}
    for file in files:
        together.setdefault(file.name.partition("/")[0] if apart else "", []).append(file)
    return together.values()


def _figures(runs: Runs, figure: Figure, files: Sequence[Run], *, forecast: bool = False) -> Iterator[float]:
    """Yield the figure of each file that counts, or what its forecast had for it."""
    for found in (file.reading(runs, figure) for file in files):
        value = None if found is None else found.foretold if forecast else found.measured
        if value is not None:
            yield value


def _counts(runs: Runs, file: File) -> bool:
    return any(_lies(file.name, pattern) for pattern in runs.files) and all(
        _has(file.document, path, wanted)
        for path, wanted in {"foretold": False, "interrupted": False, **runs.where}.items()
        if path in runs.where or path in file.document
    )


def _lies(name: str, pattern: str) -> bool:
    """Say whether a path fits, as Path.glob has it: a star ends at a slash."""
    parts, wanted = name.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def _has(document: Mapping[str, Any], path: str, wanted: Any) -> bool:
    if path == VALUES:
        return _values(document) == wanted
    found = list(figures.find(document, path))
    if isinstance(wanted, list):
        return any(isinstance(one, Mapping) and set(wanted) <= one.keys() for one in found)
    return wanted in found


def _values(document: Mapping[str, Any]) -> list[str]:
    """Return the names of a run's values files, as --env takes them."""
    files = (document.get("setup") or {}).get("values_files", [])
    return [name.rpartition("/")[2].removesuffix(".yaml") for name in files]


def _pending(test: Trial, files: Sequence[Run]) -> list[str]:
    """Return the commands that make what a test lacks: all of its own where runs are there, but none to divide."""
    needed = [runs for runs in (test.runs, test.than) if runs is not None]
    lacking = [runs for runs in needed if not list(_figures(runs, test.figure, files))]
    return [runs.command for runs in lacking or needed]
