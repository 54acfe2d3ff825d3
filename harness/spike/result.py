"""A run's result: one document with everything the report shows, written beside it as result.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs

from harness.errors import InputError
from harness.files import write_atomically
from harness.runtime.base import RuntimeEvent, ScaleEvent
from harness.spike import timeline
from harness.spike.ledger import Counts, Ledger, TaskRecord
from harness.spike.objectives import Measurements, Objective, Outcome, drain_seconds, evaluate, standing_rules
from harness.spike.timeline import Timeline, percentile

FORMAT_VERSION = 1
FILE_NAME = "result.json"
NAMED_AT_MOST = 20  # ids and faults listed one by one; the counts are complete


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What a run was. `started_at` is the start of the load, seconds since the epoch."""

    run_id: str
    scenario: str
    runtime: str
    started_at: float
    duration_seconds: float
    command: str  # runs it again
    title: str = ""
    description: str = ""
    ideal_drain_seconds: float | None = None
    interrupted: bool = False
    setup: Mapping[str, Any] = field(default_factory=dict)  # see harness.spike.facts
    files: Mapping[str, str] = field(default_factory=dict)  # label -> path relative to the report
    calls: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # see journals.calls_of
    torn_lines: int = 0  # torn last lines that were left out of the journals
    forecast: Mapping[str, Any] | None = None  # see harness.spike.forecast
    foretold: bool = False  # no task was run: this is a simulation's result
    alerts: Sequence[Mapping[str, Any]] | None = None  # those that fired, see harness.monitoring.fired


@dataclass(frozen=True, kw_only=True)
class Result:
    """Everything known about a run. Times without `_at` are seconds from the start of the load."""

    run_id: str
    scenario: str
    runtime: str
    title: str
    description: str
    started_at: float
    duration_seconds: float
    command: str
    interrupted: bool
    passed: bool
    counts: Counts
    planned: int
    last_due_seconds: float  # when the last first attempt was scheduled
    duplicates: Mapping[str, int]
    unknown_effects: int
    unknown_messages: int
    lost_ids: Sequence[str]
    faults: Sequence[str]
    torn_lines: int
    drain_seconds: float | None
    ideal_drain_seconds: float | None
    first_added_ready_seconds: float | None
    latency_seconds: Mapping[str, float | None]  # p50, p95, p99, max
    publisher_lag_seconds: Mapping[str, float | None]  # first attempt after its due time: p50, max
    objectives: Sequence[Outcome]
    rules: Sequence[Outcome]
    by_task: Mapping[str, Mapping[str, float | None]]
    by_queue: Mapping[str, Mapping[str, float | None]]
    by_phase: Mapping[str, Mapping[str, float | None]]
    calls: Mapping[str, Mapping[str, int]]
    scale_events: Sequence[Mapping[str, Any]]  # t, deployment, before, after, reason
    events: Sequence[Mapping[str, Any]]  # t, kind, subject, message
    setup: Mapping[str, Any]
    files: Mapping[str, str]
    timeline: Timeline
    forecast: Mapping[str, Any] | None = None  # what was foretold before the load began
    foretold: bool = False
    alerts: Sequence[Mapping[str, Any]] | None = None  # name, severity, about, start, end; None: nobody watched
    by_group: Mapping[str, Mapping[str, Mapping[str, float | None]]] = field(default_factory=dict)  # group -> phase

    @property
    def duplicated(self) -> int:
        """Effects beyond each task's first."""
        return sum(self.duplicates.values())

    @property
    def outcomes(self) -> list[Outcome]:
        """The scenario's objectives, then the rules every run must hold."""
        return [*self.objectives, *self.rules]

    @property
    def missed(self) -> list[Outcome]:
        """What was not met."""
        return [outcome for outcome in self.outcomes if not outcome.passed]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form: the counts stand at the top level."""
        document: dict[str, Any] = {"version": FORMAT_VERSION}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Counts):
                document |= value.as_dict() | {"duplicated": self.duplicated}
            elif item.name in {"objectives", "rules"}:
                document[item.name] = [outcome.as_dict() for outcome in value]
            else:
                document[item.name] = asdict(value) if isinstance(value, Timeline) else value
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], *, source: str = FILE_NAME) -> Result:
        """Build from the JSON form. Raises InputError for a form that is not ours and numbers that do not add up."""
        _validate(document, source)
        known = (item.name for item in fields(cls) if item.name in document)
        values = {name: document[name] for name in known}
        values["counts"] = Counts(**{item.name: document[item.name] for item in fields(Counts)})
        values["objectives"] = [Outcome.from_dict(each) for each in document["objectives"]]
        values["rules"] = [Outcome.from_dict(each) for each in document["rules"]]
        values["timeline"] = Timeline.from_dict(document["timeline"])
        return cls(**values)


def build(
    *,
    facts: RunFacts,
    ledger: Ledger,
    objectives: Sequence[Objective],
    due_at: Mapping[str, float],
    samples: Sequence[Mapping[str, Any]],
    scale_events: Sequence[ScaleEvent] = (),
    events: Sequence[RuntimeEvent] = (),
    groups: Mapping[str, str] | None = None,
) -> Result:
    """Measure a run and judge it.

    `due_at` maps every planned task id to the time its first attempt was scheduled for, seconds since the epoch; it
    must not be empty. `samples` are the run loop's (see timeline.build). `groups` has the group of each task that has
    one. An interrupted run never passes.
    """
    last_due_at = max(due_at.values())
    line = timeline.build(records=ledger.records, samples=samples, started_at=facts.started_at, groups=groups)
    added = min(timeline.first_added_ready(line).values(), default=None)
    measured = Measurements(ledger, due_at.keys(), facts.started_at, last_due_at, added)
    outcomes, rules = evaluate(objectives, measured), standing_rules(objectives, measured)
    return Result(
        **_carried(facts),
        passed=not facts.interrupted and all(outcome.passed for outcome in (*outcomes, *rules)),
        counts=ledger.counts,
        planned=len(due_at),
        last_due_seconds=round(last_due_at - facts.started_at, 3),
        duplicates=ledger.duplicates,
        unknown_effects=len(ledger.unknown_effects),
        unknown_messages=len(ledger.unknown_messages),
        lost_ids=ledger.lost_ids()[:NAMED_AT_MOST],
        faults=ledger.faults[:NAMED_AT_MOST],
        drain_seconds=_rounded(drain_seconds(ledger, last_due_at=last_due_at)),
        first_added_ready_seconds=added,
        latency_seconds=_percentiles(_latencies(ledger.records), ("p50", "p95", "p99", "max")),
        publisher_lag_seconds=_percentiles(_lags(ledger.records, due_at), ("p50", "max")),
        objectives=outcomes,
        rules=rules,
        by_task=_groups(ledger, "task"),
        by_queue=_groups(ledger, "queue"),
        by_phase=_groups(ledger, "phase"),
        by_group=_phases_of_groups(ledger, groups or {}),
        scale_events=[_since(facts.started_at, event) for event in scale_events],
        events=[_since(facts.started_at, event) for event in events],
        timeline=line,
    )


def write(result: Result, directory: Path) -> Path:
    """Write result.json into the directory: another process sees the old file or the whole new one."""
    document = json.dumps(result.as_dict(), indent=1, allow_nan=False)
    return write_atomically(directory / FILE_NAME, document + "\n")


def read(path: Path) -> Result:
    """Read a result.json, or the one in a run's directory. Raises InputError."""
    path = path / FILE_NAME if path.is_dir() else path
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; a run that ended early has no result") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from error
    return Result.from_dict(document, source=str(path))


@cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema of result.json."""
    document: dict[str, Any] = json.loads(
        package_files("harness.spike").joinpath("result.schema.json").read_text(encoding="utf-8")
    )
    return document


@cache
def _quick() -> jsonschema_rs.Draft202012Validator:
    """Return what says yes or no at once; a comparison reads each of its results several times."""
    return jsonschema_rs.Draft202012Validator(schema())


def _validate(document: Any, source: str) -> None:
    if _quick().is_valid(document):
        return
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema()).iter_errors(document))
    if error is not None:
        where = ".".join(str(step) for step in error.absolute_path) or "the document"
        raise InputError(f"{source}: {where}: {error.message[:300]} (not a result of this version; run it again)")


def _carried(facts: RunFacts) -> dict[str, Any]:
    return {item.name: getattr(facts, item.name) for item in fields(facts)}


def _groups(ledger: Ledger, attribute: str) -> dict[str, dict[str, float | None]]:
    """Counts and latency percentiles by task, queue or phase."""
    rows: dict[str, list[TaskRecord]] = {}
    for row in ledger.records:
        rows.setdefault(getattr(row, attribute), []).append(row)
    return {
        name: {
            **counts.as_dict(),
            "duplicated": sum(row.repeated for row in rows[name]),
            **_percentiles(_latencies(rows[name]), ("p50", "p95", "p99", "max")),
        }
        for name, counts in ledger.by(attribute).items()
    }


def _phases_of_groups(ledger: Ledger, groups: Mapping[str, str]) -> dict[str, dict[str, dict[str, float | None]]]:
    return {
        group: _groups(replace(ledger, records=tuple(rows)), "phase")
        for group, rows in timeline.by_group(ledger.records, groups).items()
    }


def _latencies(records: Sequence[TaskRecord]) -> list[float]:
    return [row.latency_seconds for row in records if row.latency_seconds is not None]


def _lags(records: Sequence[TaskRecord], due_at: Mapping[str, float]) -> list[float]:
    return [row.first_attempt_at - due_at[row.id] for row in records if row.id in due_at]


def _percentiles(values: list[float], names: Sequence[str]) -> dict[str, float | None]:
    percents = {**timeline.PERCENTILES, "max": 100.0}
    return {name: _rounded(percentile(values, percents[name])) if values else None for name in names}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _since(started_at: float, event: ScaleEvent | RuntimeEvent) -> dict[str, Any]:
    document = asdict(event)
    document.pop("data", None)
    return {"t": round(document.pop("at") - started_at, 3), **document}
