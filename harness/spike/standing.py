"""Where a run stands, and how a Locust master adds up what its workers report. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Part:
    """Which part of a run a process publishes: number `index` (from 0) of `count`."""

    run_id: str
    index: int = 0
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a part, or the whole, of a run stands. `refusals` and `unconfirmed` are attempts, the others tasks."""

    planned: int = 0
    offered: int = 0
    accepted: int = 0
    gave_up: int = 0
    refusals: int = 0
    unconfirmed: int = 0
    completed: int = 0
    failed: int = 0
    outstanding: int = 0  # accepted, and not seen to end

    @property
    def finished(self) -> bool:
        """Whether every planned task was accepted or given up, and every accepted one was seen to end."""
        return self.accepted + self.gave_up == self.planned and self.outstanding == 0

    @property
    def good(self) -> bool:
        """Whether there was something to do, and every planned task did it."""
        return self.planned > 0 and self.finished and self.gave_up == 0 and self.failed == 0

    def __str__(self) -> str:
        return ", ".join(f"{name} {count:,}" for name, count in asdict(self).items())

    @classmethod
    def total(cls, parts: Collection[Self]) -> Self:
        """Add up parts."""
        return cls(**{item.name: sum(getattr(part, item.name) for part in parts) for item in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a Locust worker tells its master every few seconds."""

    run_id: str
    standing: Standing
    over: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the form that travels."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Build from the form that travels."""
        return cls(**{**document, "standing": Standing(**document["standing"])})


class Roster:
    """A master's view of one run: which worker publishes which part, and how far each has come."""

    def __init__(self, run_id: str, workers: Iterable[str]) -> None:
        names = sorted(workers)
        self.parts = {name: Part(run_id=run_id, index=index, count=len(names)) for index, name in enumerate(names)}
        self._run_id = run_id
        self._reports: dict[str, Report] = {}

    def note(self, worker: str, report: Report) -> None:
        """Take a worker's report; one of an earlier run, or of a worker without a part, says nothing."""
        if worker in self.parts and report.run_id == self._run_id:
            self._reports[worker] = report

    @property
    def over(self) -> bool:
        """Whether every worker with a part has come to its end."""
        return len(self._reports) == len(self.parts) and all(report.over for report in self._reports.values())

    def standing(self) -> Standing:
        """Add up the latest reports."""
        return Standing.total([report.standing for report in self._reports.values()])

    @property
    def complete(self) -> bool:
        """Whether every worker with a part has reported."""
        return len(self._reports) == len(self.parts)
