"""What a line of the checklist comes to, and what the lines are judged by. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

PASS = "pass"  # noqa: S105 -- no password
FAIL = "fail"
NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Line:
    """One line: its verdict, and what was seen, a sentence each."""

    name: str
    title: str
    verdict: str
    evidence: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A measured run, as far as the checklist looks: what it ran on, and what came of it."""

    folder: str
    scenario: str
    runtime: str
    passed: bool
    lost: int
    missed: tuple[str, ...]
    completed_by_queue: Mapping[str, int]
    classes: Mapping[str, Any]
    queues: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is checked. `classes` and `queues` are as a run's `setup` has them.

    `breaker_files` are the application's files that make circuit breakers; None where the application is not here.
    `has_own_alerts` says whether the chart brings alerts of its own. `runs` are the newest first.
    """

    environment: str
    app: str
    manifests: Sequence[Mapping[str, Any]]
    classes: Mapping[str, Mapping[str, Any]]
    queues: Mapping[str, Mapping[str, Any]]
    redis_secret: str | None
    breaker_files: tuple[str, ...] | None
    has_own_alerts: bool
    runs: Sequence[Run]
    runbook: str | None
    runbook_name: str
    known_commands: frozenset[str]


def verdict(good: bool) -> str:
    """Return the word for a line that was checked."""
    return PASS if good else FAIL
