"""Reading docs/claims.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.chart.values import ROOT
from harness.chart.yaml_strict import load_document
from harness.claims import figures
from harness.claims.figures import Figure
from harness.spike.sections import Section

FILE = ROOT / "docs" / "claims.yaml"
DOCUMENTS = ("report", "guide")
RESULTS = ("*/result.json", "foretold*/*/result.json")
"""Runs of `harness spike`, also those that `python -m benchmarks.foretold` makes, one command three times."""


@dataclass(frozen=True)
class Runs:
    """Which result files count: below the folder of reports, those that have all this. `command` makes one.

    `files` are patterns of paths. What `where` says of a path is its value, or a list of keys that all are there.
    """

    command: str
    files: tuple[str, ...]
    where: Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """One way to put a claim to the test. `given` says on what condition, None for the documents' own figures.

    With `than` the figure is that of `runs` divided by that of `than`.
    """

    given: str | None
    runs: Runs
    figure: Figure
    than: Runs | None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One figure or promise. It holds where the figure is at least `least` and at most `most`.

    `remedy` is what to set where it does not hold, or why nothing can be set.
    """

    id: str
    document: str
    section: str
    words: str
    unit: str
    least: float | None
    most: float | None
    remedy: str
    tests: tuple[Trial, ...]


def load(path: Path = FILE) -> tuple[Claim, ...]:
    """Read the claims. Raises InputError naming file, line, key and fix."""
    root = Section(load_document(path))
    claims: list[Claim] = []
    for section in root.sections("claims"):
        claim = _claim(section)
        if any(claim.id == other.id for other in claims):
            section.fail(f"a second claim {claim.id!r}", "id")
        claims.append(claim)
    root.end()
    return tuple(claims)


def _claim(section: Section) -> Claim:
    holds = section.section("holds")
    least, most = (holds.number(key) if holds.has(key) else None for key in ("least", "most"))
    holds.take("least", None)
    holds.take("most", None)
    holds.end()
    if least is None and most is None:
        section.fail("needs least or most: from which figure on it holds", "holds")
    claim = Claim(
        id=section.text("id"),
        document=section.text("document"),
        section=section.text("section"),
        words=section.text("words"),
        unit=section.text("unit", ""),
        least=least,
        most=most,
        remedy=section.text("remedy"),
        tests=tuple(_test(one) for one in section.sections("tests")),
    )
    section.end()
    if claim.document not in DOCUMENTS:
        section.fail(f"is {claim.document!r}, expected {' or '.join(DOCUMENTS)}", "document")
    if sum(test.given is None for test in claim.tests) != 1:
        section.fail("exactly one test must be without `given`: that of the document's own figures", "tests")
    return claim


def _test(section: Section) -> Trial:
    test = Trial(
        given=section.text("given") if section.has("given") else section.take("given", None),
        runs=_runs(section),
        figure=_figure(section.section("figure")),
        than=_runs(than) if (than := section.section("than")) and section.has("than") else None,
    )
    section.take("than", None)
    section.end()
    return test


def _runs(section: Section) -> Runs:
    files = section.take("files", RESULTS)
    return Runs(
        command=section.text("command"),
        files=(files,) if isinstance(files, str) else tuple(map(str, files)),
        where=section.mapping("where", {}),
    )


def _figure(section: Section) -> Figure:
    kind = section.text("kind")
    if kind not in figures.KINDS:
        section.fail(f"is {kind!r}; there are: {', '.join(figures.KINDS)}", "kind")
    of = section.list("of") if kind == "passed" else section.take("of", None)
    figure = Figure(kind, section.text("path"), of)
    section.end()
    return figure
