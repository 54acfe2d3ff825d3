"""Objectives: what a scenario demands, measured on the ledger. Pure.

An objective is a name and parameters. One that could not be measured is a miss that says why, never a pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.errors import InputError
from harness.spike.ledger import FinalState, Ledger, TaskRecord
from harness.spike.timeline import percentile


@dataclass(frozen=True)
class Objective:
    """A demand by name, with the parameters its kind takes (see KINDS)."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurements:
    """What objectives are measured on. `started_at` and `last_due_at` are seconds since the epoch."""

    ledger: Ledger
    planned: Collection[str]  # ids of the tasks the scenario means to offer
    started_at: float
    last_due_at: float  # when the last first attempt was scheduled
    first_added_ready_seconds: float | None = None


@dataclass(frozen=True)
class Outcome:
    """An objective's verdict. `limit` and `measured` are numbers of the same unit; the words are for people."""

    name: str
    title: str
    target: str
    limit: float
    measured: float | None
    measured_words: str
    passed: bool
    reason: str = ""  # why it could not be measured

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "name": self.name,
            "title": self.title,
            "target": self.target,
            "limit": self.limit,
            "measured": self.measured,
            "measured_words": self.measured_words,
            "pass": self.passed,
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Outcome:
        """Build from the JSON form."""
        values = dict(document)
        return cls(passed=values.pop("pass"), **values)


class _UnmeasuredError(Exception):
    """There is no such figure in this run; the message says why."""


Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """How one kind of objective is read, measured and worded. `limit` names the parameter that bounds the figure."""

    measure: Callable[[Measurements, Parameters], float]
    title: Callable[[Parameters], str]
    unit: str  # "tasks", "s", "share" or "x"
    limit: str = "max"  # "max": at most; "min" or "min_share": at least
    required: Mapping[str, type] = field(default_factory=dict)
    optional: Mapping[str, type] = field(default_factory=dict)

    @property
    def at_most(self) -> bool:
        """Whether the limit is an upper one."""
        return self.limit == "max"


def parse(document: Sequence[Mapping[str, Any]], *, source: str) -> tuple[Objective, ...]:
    """Read a scenario's `objectives`: a list of mappings, each a `name` and its parameters.

    Raises InputError naming the source, the objective, what is wrong and what is possible.
    """
    found = []
    for index, item in enumerate(document):
        where = f"{source}: objectives[{index}]"
        if not isinstance(item, Mapping) or not isinstance(item.get("name"), str):
            raise InputError(f"{where}: expected a mapping with a name, such as {{name: lost, max: 0}}")
        objective = Objective(item["name"], {key: value for key, value in item.items() if key != "name"})
        check(objective, where=where)
        found.append(objective)
    return tuple(found)


def check(objective: Objective, *, where: str) -> None:
    """Raise InputError when the objective's name or parameters are not what a kind takes."""
    kind = KINDS.get(objective.name)
    if kind is None:
        raise InputError(f"{where}: unknown objective {objective.name!r}; known: {', '.join(sorted(KINDS))}")
    required = {kind.limit: float, **kind.required}
    known = {**required, **kind.optional}
    for key, value in objective.parameters.items():
        if key not in known:
            raise InputError(f"{where}: {objective.name} has no parameter {key!r}; it takes {', '.join(known)}")
        if not _fits(value, known[key]):
            expected = "a string" if known[key] is str else "a number that is not negative"
            raise InputError(f"{where}: {objective.name}.{key} is {value!r}, expected {expected}")
    for key in required:
        if key not in objective.parameters:
            raise InputError(f"{where}: {objective.name} needs {key!r}")


def evaluate(objectives: Sequence[Objective], measurements: Measurements) -> tuple[Outcome, ...]:
    """Measure each objective. Raises InputError for one that `check` refuses."""
    for objective in objectives:
        check(objective, where=f"objective {objective.name}")
    return tuple(_evaluate(objective, measurements) for objective in objectives)


def standing_rules(objectives: Sequence[Objective], measurements: Measurements) -> tuple[Outcome, ...]:
    """Measure what every run must hold, save where the scenario states its own limit for the same figure."""
    stated = {objective.name for objective in objectives}
    return evaluate([rule for rule in STANDING if rule.name not in stated], measurements)


def _evaluate(objective: Objective, measurements: Measurements) -> Outcome:
    kind, parameters = KINDS[objective.name], objective.parameters
    limit = float(parameters[kind.limit])
    target = f"{'at most' if kind.at_most else 'at least'} {words(limit, kind.unit)}"
    title = kind.title(parameters)
    try:
        measured = kind.measure(measurements, parameters)
    except _UnmeasuredError as error:
        return Outcome(objective.name, title, target, limit, None, "not measured", passed=False, reason=str(error))
    passed = measured <= limit if kind.at_most else measured >= limit
    measured_words = _told_apart(measured, limit, kind.unit)
    return Outcome(objective.name, title, target, limit, measured, measured_words, passed=passed)


def words(value: float, unit: str) -> str:
    """Write a figure with its unit."""
    if unit == "tasks":
        return f"{value:,.0f}"
    if unit == "share":
        return f"{_short(value * 100, 2)} %"
    return f"{_short(value, 2 if unit == 'x' else 1)} {'times' if unit == 'x' else unit}"


def _told_apart(measured: float, limit: float, unit: str) -> str:
    """Write a measured figure; where rounding would make it read like the limit it is not, write more digits."""
    text = words(measured, unit)
    if measured == limit or text != words(limit, unit):
        return text
    return f"{measured * 100:.4f} %" if unit == "share" else f"{measured:.4f} {'times' if unit == 'x' else unit}"


def _short(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}".rstrip("0").rstrip(".")


def _fits(value: Any, expected: type) -> bool:
    if expected is str:
        return isinstance(value, str) and bool(value)
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


# --- figures -------------------------------------------------------------------------------------------------------


def _count(name: str) -> Callable[[Measurements, Parameters], float]:
    return lambda measurements, _: float(getattr(measurements.ledger.counts, name))


def _not_as_planned(measurements: Measurements, _: Parameters) -> float:
    return float(len(set(measurements.planned) ^ {row.id for row in measurements.ledger.records}))


def drain_seconds(ledger: Ledger, *, last_due_at: float) -> float | None:
    """From the last scheduled first attempt (a burst's is its start) to the last effect.

    None when an accepted task never came to an end, or none was done: the backlog is then not known to be gone.
    """
    done = [row.done_at for row in ledger.records if row.done_at is not None]
    if not done or ledger.counts.lost or ledger.counts.in_flight:
        return None
    return max(done) - last_due_at


def _drain(measurements: Measurements, _: Parameters) -> float:
    measured = drain_seconds(measurements.ledger, last_due_at=measurements.last_due_at)
    if measured is None:
        counts = measurements.ledger.counts
        raise _UnmeasuredError(
            f"the backlog never drained: {counts.lost:,} lost, {counts.in_flight:,} still in flight"
            if counts.accepted
            else "no task was accepted"
        )
    return measured


def _completed_within(measurements: Measurements, parameters: Parameters) -> float:
    latencies = [row.latency_seconds for row in measurements.ledger.records]
    if not latencies:
        raise _UnmeasuredError("no task was offered")
    return sum(value is not None and value <= parameters["seconds"] for value in latencies) / len(latencies)


def _share(state: str) -> Callable[[Measurements, Parameters], float]:
    def measure(measurements: Measurements, _: Parameters) -> float:
        counts = measurements.ledger.counts
        if not counts.offered:
            raise _UnmeasuredError("no task was offered")
        return float(getattr(counts, state)) / counts.offered

    return measure


def _latency(percent: float) -> Callable[[Measurements, Parameters], float]:
    def measure(measurements: Measurements, parameters: Parameters) -> float:
        return _phase_latency(measurements.ledger.records, parameters.get("phase"), percent)

    return measure


def _phase_latency(records: Sequence[TaskRecord], phase: str | None, percent: float) -> float:
    """A percentile over all tasks that were offered; those never done count as endless."""
    rows = [row for row in records if phase is None or row.phase == phase]
    name = "the run" if phase is None else f"phase {phase!r}"
    if not rows:
        raise _UnmeasuredError(f"{name} offered no task")
    latency = percentile((math.inf if row.latency_seconds is None else row.latency_seconds for row in rows), percent)
    if math.isinf(latency):
        undone = sum(row.state is not FinalState.COMPLETED for row in rows)
        raise _UnmeasuredError(f"{undone:,} of {len(rows):,} tasks of {name} were never done")
    return latency


def _latency_ratio(percent: float) -> Callable[[Measurements, Parameters], float]:
    def measure(measurements: Measurements, parameters: Parameters) -> float:
        records = measurements.ledger.records
        baseline = _phase_latency(records, parameters["baseline"], percent)
        if baseline <= 0:
            raise _UnmeasuredError(f"phase {parameters['baseline']!r} took no time to compare with")
        return _phase_latency(records, parameters["phase"], percent) / baseline

    return measure


def _first_added_ready(measurements: Measurements, _: Parameters) -> float:
    if measurements.first_added_ready_seconds is None:
        raise _UnmeasuredError("no added pod became ready")
    return measurements.first_added_ready_seconds


def _always(text: str) -> Callable[[Parameters], str]:
    return lambda _: text


def _of_phase(text: str) -> Callable[[Parameters], str]:
    return lambda parameters: f"{text}, phase {parameters['phase']}" if "phase" in parameters else text


def _counted(name: str, title: str) -> Kind:
    return Kind(_count(name), _always(title), "tasks")


_RATIO = {"phase": str, "baseline": str}

KINDS: Mapping[str, Kind] = {
    "lost": _counted("lost", "Accepted tasks that were lost"),
    "in_flight": _counted("in_flight", "Tasks still unfinished at the end"),
    "unconfirmed": _counted("unconfirmed", "Tasks whose fate nobody knows"),
    "refused_finally": _counted("refused_finally", "Tasks refused for good"),
    "refused_stored": _counted("refused_stored", "Tasks refused and kept in a dead-letter queue"),
    "dead_lettered": _counted("dead_lettered", "Accepted tasks that ended in a dead-letter queue"),
    "expired": _counted("expired", "Accepted tasks that waited too long"),
    "duplicated": Kind(lambda m, _: float(m.ledger.duplicated), _always("Effects that happened again"), "tasks"),
    "unknown_effects": Kind(
        lambda m, _: float(len(m.ledger.unknown_effects)), _always("Effects of tasks nobody offered"), "tasks"
    ),
    "faults": Kind(lambda m, _: float(len(m.ledger.faults)), _always("Histories that contradict themselves"), "tasks"),
    "not_as_planned": Kind(_not_as_planned, _always("Tasks offered more or less than planned"), "tasks"),
    "drain_seconds": Kind(_drain, _always("Time until the backlog was gone"), "s"),
    "completed_within": Kind(
        _completed_within,
        lambda p: f"Offered tasks done within {words(p['seconds'], 's')}",
        "share",
        limit="min_share",
        required={"seconds": float},
    ),
    "accepted_share": Kind(_share("accepted"), _always("Offered tasks accepted"), "share", limit="min_share"),
    "completed_share": Kind(_share("completed"), _always("Offered tasks done"), "share", limit="min_share"),
    "p50_latency_seconds": Kind(_latency(50), _of_phase("Median time to effect"), "s", optional={"phase": str}),
    "p95_latency_seconds": Kind(_latency(95), _of_phase("95 % of tasks done within"), "s", optional={"phase": str}),
    "p99_latency_seconds": Kind(_latency(99), _of_phase("99 % of tasks done within"), "s", optional={"phase": str}),
    "p95_latency_ratio": Kind(
        _latency_ratio(95),
        lambda p: f"p95 time to effect, {p['phase']} compared with {p['baseline']}",
        "x",
        required=_RATIO,
    ),
    "first_added_ready_seconds": Kind(_first_added_ready, _always("First added pod ready after"), "s"),
}

# A run that breaks one of these failed, whatever its scenario says.
STANDING: tuple[Objective, ...] = tuple(
    Objective(name, {"max": 0})
    for name in ("lost", "in_flight", "unconfirmed", "unknown_effects", "faults", "not_as_planned")
)
