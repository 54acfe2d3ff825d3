"""The table of an end-to-end run: each test with its seconds, its outcome and what it counted.

On the terminal and in a file of reports/. A test counts by pytest's `record_property`. What is not of one test alone
comes on its report as well, under names of its own: the tests may run in several processes, the table is made in one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

REPORTS = Path(__file__).parents[2] / "reports"
PART = "e2e-part.json"
"""The file of a session that chose its tests itself; whole ones have their own, which it must not replace."""
Note = Callable[[str, object], None]  # what the fixture `record_property` is
_WORSE = ("passed", "skipped", "failed")
_SHARED = "shared: "
_VALUES_FILES = "values files"


def shared(name: str, seconds: float) -> tuple[str, object]:
    """Return the property of a test in whose set-up something was made for more than this test."""
    return _SHARED + name, seconds


def values_files(names: Iterable[str]) -> tuple[str, object]:
    """Return the property that names what releases were installed with so far."""
    return _VALUES_FILES, sorted(names)


@dataclass
class Row:
    """One line of the table."""

    name: str
    seconds: float = 0.0
    outcome: str = "passed"
    reason: str = ""
    counted: dict[str, Any] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)


@dataclass
class Results:
    """What a session's tests came to. What they share (the cluster, the standing release) is counted apart."""

    rows: dict[str, Row] = field(default_factory=dict)
    shared: list[Row] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.time)

    def note_before(self, name: str, seconds: float) -> None:
        """Count time that was spent before the first test."""
        self.shared.append(Row(name, seconds))

    def add(self, report: pytest.TestReport) -> None:
        """Add one phase of a test."""
        row = self.rows.setdefault(report.nodeid, Row(report.nodeid.removeprefix("tests/cluster/").partition("@")[0]))
        row.seconds += report.duration
        for name, value in report.user_properties:
            self._add_property(row, name, value)
        if _WORSE.index(report.outcome) > _WORSE.index(row.outcome):
            row.outcome = report.outcome
            row.reason = _reason(report)

    def _add_property(self, row: Row, name: str, value: Any) -> None:
        if name == _VALUES_FILES:
            self.facts["values_files"] = sorted({*self.facts.get("values_files", ()), *value})
        elif not name.startswith(_SHARED):
            row.counted[name] = value
        elif name not in row.shared:  # each phase's report has the properties of those before
            row.shared.add(name)
            row.seconds -= value
            self.note_before(name.removeprefix(_SHARED), value)

    def document(self) -> dict[str, Any]:
        """Return everything, for the file."""
        return {
            "started": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="seconds"),
            "seconds": round(time.time() - self.started, 1),
            **self.facts,
            "shared": [_line(row) for row in self.shared],
            "tests": [_line(row) for row in self.rows.values()],
        }

    def text(self) -> list[str]:
        """Return the table's lines."""
        lines = [f"{row.seconds:8.1f} s  {'':8} {row.name}" for row in self.shared]
        for row in self.rows.values():
            lines.append(f"{row.seconds:8.1f} s  {row.outcome:8} {row.name}")
            if row.counted:
                lines.append(f"{'':20} {', '.join(f'{name}: {value}' for name, value in row.counted.items())}")
            if row.reason:
                lines.append(f"{'':20} {row.reason.splitlines()[0][:100]}")
        return [*lines, f"{time.time() - self.started:8.1f} s  in all"]


RESULTS = pytest.StashKey[Results]()


def _reason(report: pytest.TestReport) -> str:
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message) if crash is not None else ""


def _line(row: Row) -> dict[str, Any]:
    line: dict[str, Any] = {"name": row.name, "seconds": round(row.seconds, 1), "outcome": row.outcome}
    return {
        **line,
        **({"counted": row.counted} if row.counted else {}),
        **({"reason": row.reason} if row.reason else {}),
    }
