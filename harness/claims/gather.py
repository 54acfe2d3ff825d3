"""Reads the result files that claims are judged by."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from harness.claims.catalogue import Claim
from harness.claims.verdicts import File, Judged, judge


def judged(claims: Iterable[Claim], reports: Path) -> tuple[Judged, ...]:
    """Judge all claims by what lies in the folder of reports; what is no JSON object is passed over."""
    claims = tuple(claims)
    patterns = {
        one for claim in claims for test in claim.tests for runs in (test.runs, test.than) if runs for one in runs.files
    }
    paths = sorted({path for pattern in patterns for path in reports.glob(pattern) if not _is_copy(path, reports)})
    files = [file for path in paths if (file := _read(path, reports)) is not None]
    return tuple(judge(claim, files) for claim in claims)


def _is_copy(path: Path, reports: Path) -> bool:
    """Whether it is reached by a link, as `latest` is, or belongs to a run that is still being made."""
    parents = [path, *path.parents]
    below = parents[: parents.index(reports)]
    return any(one.is_symlink() or one.name.startswith(".") for one in below)


def _read(path: Path, reports: Path) -> File | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return File(str(path.relative_to(reports)), document) if isinstance(document, dict) else None
