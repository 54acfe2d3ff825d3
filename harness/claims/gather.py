"""Reads the result files that claims are judged by, and what is kept of those that are gone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.claims import record
from harness.claims.catalogue import Claim
from harness.claims.record import KeptRun
from harness.claims.verdicts import File, Judged, judge
from harness.errors import InputError


@dataclass(frozen=True)
class Gathered:
    """The claims' verdicts, and the runs behind them, oldest first."""

    judged: tuple[Judged, ...]
    runs: tuple[KeptRun, ...]


def gathered(claims: Iterable[Claim], reports: Path, kept: Path | None = None) -> Gathered:
    """Judge all claims by what lies in the folder of reports, and where that says nothing by what was kept.

    What is no JSON object in the folder is passed over. Raises InputError for a record that cannot be read.
    """
    claims = tuple(claims)
    patterns = {pattern for runs, _ in record.questions(claims).values() for pattern in runs.files}
    paths = sorted({path for pattern in patterns for path in reports.glob(pattern) if not _is_copy(path, reports)})
    files = [file for path in paths if (file := _read(path, reports)) is not None]
    runs = record.renewed(read(kept), record.keep(claims, files))
    return Gathered(tuple(judge(claim, runs) for claim in claims), record.keep(claims, runs))


def read(kept: Path | None) -> Sequence[KeptRun]:
    """Return what was kept, nothing where there is no such file. Raises InputError for one that is none."""
    if kept is None or not kept.exists():
        return ()
    try:
        return record.from_document(json.loads(kept.read_text(encoding="utf-8")), source=str(kept))
    except (OSError, ValueError) as error:
        raise InputError(f"{kept}: cannot be read as JSON: {error}") from error


def _is_copy(path: Path, reports: Path) -> bool:
    """Whether it is reached by a link, as `latest` is, or belongs to a run that is still being made."""
    parents = [path, *path.parents]
    below = parents[: parents.index(reports)]
    return any(one.is_symlink() or one.name.startswith(".") for one in below)


def _read(path: Path, reports: Path) -> File | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        written_at = path.stat().st_mtime
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict):
        return None
    return File(str(path.relative_to(reports)), document, written_at=written_at)
