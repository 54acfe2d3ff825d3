"""CHANGELOG.md, in the form of Keep a Changelog: its sections, what they hold, and how one becomes a release. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from harness.errors import InputError

FILE = "CHANGELOG.md"
UNRELEASED = "Unreleased"
# Keep a Changelog's headings -> the kinds Artifact Hub knows.
KINDS: Mapping[str, str] = {
    "Added": "added", "Changed": "changed", "Deprecated": "deprecated", "Removed": "removed", "Fixed": "fixed",
    "Security": "security",
}  # fmt: skip
_HEADING = re.compile(r"^## \[([^\]]+)\](?: - (.*?))?[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """What stands under one version: `date` as it is written, `text` without the heading."""

    version: str
    date: str | None
    text: str


def sections(changelog: str) -> tuple[Section, ...]:
    """Return the sections in their order, the newest first."""
    found = list(_HEADING.finditer(changelog))
    ends = [one.start() for one in found[1:]] + [len(changelog)]
    return tuple(
        Section(one[1], one[2], changelog[one.end() : end].strip("\n")) for one, end in zip(found, ends, strict=True)
    )


def section(changelog: str, version: str) -> Section | None:
    """Return the section of a version, None where it has none."""
    return next((one for one in sections(changelog) if one.version == version), None)


def changes(changelog: str, version: str) -> list[dict[str, str]]:
    """Return what a version's section says, in Artifact Hub's form. Raises InputError where it lacks or misnames it."""
    found = section(changelog, version)
    listed = list(_entries(found)) if found else []
    if not listed:
        raise InputError(f"{FILE}: nothing stands under [{version}]; write what changed")
    return listed


def is_empty(found: Section | None) -> bool:
    """Whether a section has nothing that a reader would be told."""
    return found is None or not re.search(r"^- ", found.text, re.MULTILINE)


def released(changelog: str, version: str, day: date) -> str:
    """Return the changelog with what is unreleased under a version and its day, and an empty Unreleased above it.

    Raises InputError where nothing is unreleased, an entry has no heading, or the version has a section already.
    """
    if section(changelog, version) is not None:
        raise InputError(f"{FILE}: [{version}] has a section already; choose a version that comes after it")
    changes(changelog, UNRELEASED)
    heading = next(one for one in _HEADING.finditer(changelog) if one[1] == UNRELEASED)
    return f"{changelog[: heading.end()]}\n\n## [{version}] - {day.isoformat()}{changelog[heading.end() :]}"


def day_of(found: Section) -> date | None:
    """Return a section's day, None where it has none that a calendar has."""
    try:
        return date.fromisoformat(found.date or "")
    except ValueError:
        return None


def _entries(found: Section) -> Iterator[dict[str, str]]:
    before, *parts = re.split(r"^### ", found.text, flags=re.MULTILINE)
    if re.search(r"^- ", before, re.MULTILINE):
        raise InputError(f"{FILE}: [{found.version}]: an entry stands under no heading; put it under ### Added or such")
    for part in parts:
        heading, _, body = part.partition("\n")
        if heading.strip() not in KINDS:
            raise InputError(f"{FILE}: Artifact Hub knows no {heading.strip()!r}; use one of {', '.join(KINDS)}")
        for entry in re.findall(r"^- (.*?)(?=^- |\Z)", body, re.MULTILINE | re.DOTALL):
            yield {"kind": KINDS[heading.strip()], "description": " ".join(entry.split())}
