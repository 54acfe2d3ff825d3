"""What each fault of a run cost: counts, recovery, and what must not have happened. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from harness.chaos.faults import CATALOGUE
from harness.chaos.schedule import CALM, CALM_SECONDS
from harness.errors import InputError
from harness.spike.result import Result
from harness.spike.timeline import Numbers, Timeline

FILE_NAME = "chaos.json"
BACKLOG_FACTOR, BACKLOG_MESSAGES = 1.5, 5
"""A backlog counts as gone at this multiple of the calm phase's largest, and so many more: work never stands still."""
UNEXPLAINED = ("dropped",)
REPEATABLE = "mail"
"""The one kind of effect that may happen again: no mail server takes a mail back."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault. Counts are of the tasks offered in its phase; `recovery_seconds` runs from its end, None: never."""

    fault: str
    title: str
    injected: int
    accepted: int
    completed: int
    dead_lettered: int
    deaths: Mapping[str, int]
    lost: int
    duplicated: int
    recovery_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The table, and in words what was wrong."""

    seed: int
    rows: Sequence[Row]
    mail_duplicates: int
    mails_at_risk: int  # in work when something struck
    problems: Sequence[str]

    @property
    def passed(self) -> bool:
        """Whether nothing was wrong."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), "passed": self.passed}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Read the JSON form. Raises KeyError or TypeError for what is none."""
        read = {one.name: document[one.name] for one in fields(cls)}
        return cls(**{**read, "rows": [Row(**row) for row in document["rows"]]})


def judge(result: Result, notes: Sequence[Mapping[str, Any]], *, seed: int, mail_queue: str) -> Verdict:
    """Judge a chaos run by its result and by what its director wrote down."""
    rows = [_row(name, result, notes) for name in dict.fromkeys(one["fault"] for one in notes if one["fault"])]
    at_risk = mails_at_risk(notes, mail_queue)
    return Verdict(
        seed=seed,
        rows=rows,
        mail_duplicates=result.duplicates.get(REPEATABLE, 0),
        mails_at_risk=at_risk,
        problems=(*_problems(result, rows, at_risk), *_breaker_problems(notes)),
    )


def _row(name: str, result: Result, notes: Sequence[Mapping[str, Any]]) -> Row:
    if name not in CATALOGUE:
        raise InputError(f"chaos.jsonl: there is no fault {name!r}; the run is of another version")
    counts = result.by_phase.get(name, {})
    mine = [one for one in notes if one["fault"] == name]
    ends = [one["t"] - result.started_at for one in mine if one["what"] == "ends"]

    def count(key: str) -> int:
        return int(counts.get(key) or 0)

    return Row(
        fault=name,
        title=CATALOGUE[name].title,
        injected=sum(one["what"] in ("begins", "strikes") for one in mine),
        accepted=count("accepted"),
        completed=count("completed"),
        dead_lettered=count("dead_lettered"),
        deaths={key: count(key) for key in ("expired", "failed", "poison", "dropped") if count(key)},
        lost=count("lost"),
        duplicated=count("duplicated"),
        recovery_seconds=recovery_seconds(result.timeline, ends[-1]) if ends else None,
    )


def recovery_seconds(timeline: Timeline, ended_at: float) -> float | None:
    """Return how long after a fault's end every wanted pod was ready and the backlog was gone; None for never.

    Whole seconds of the timeline. The backlog of the calm phase, before the first fault, is what ordinary work looks
    like.
    """
    totals = _totals(timeline)
    before = zip(timeline.seconds, totals, strict=True)
    calm = [total for second, total in before if 0 <= second < CALM_SECONDS and total is not None]
    normal = max(calm, default=0.0) * BACKLOG_FACTOR + BACKLOG_MESSAGES
    for position, second in enumerate(timeline.seconds):
        total = totals[position]
        if second >= ended_at and total is not None and total <= normal and _all_ready(timeline, position):
            return float(max(0, second - int(ended_at)))
    return None


def _totals(timeline: Timeline) -> list[float | None]:
    series: list[Numbers] = [one for queue in timeline.queues.values() for one in queue.values()]
    return [_added([one[position] for one in series]) for position in range(len(timeline.seconds))]


def _added(values: Iterable[float | None]) -> float | None:
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _all_ready(timeline: Timeline, position: int) -> bool:
    for replicas in timeline.replicas.values():
        desired, ready = replicas["desired"][position], replicas["ready"][position]
        if desired is None or ready is None or ready < desired:
            return False
    return True


def mails_at_risk(notes: Sequence[Mapping[str, Any]], mail_queue: str) -> int:
    """Return how many messages of the mails' queue were in work when a worker or a connection was taken, all together.

    Where the broker could not be asked the largest number seen counts.
    """

    def in_work(note: Mapping[str, Any]) -> int | None:
        return None if note["in_work"] is None else int(note["in_work"].get(mail_queue, 0))

    most = max((in_work(one) or 0 for one in notes), default=0)
    strikes = [one for one in notes if one["what"] in ("begins", "strikes")]
    return sum(CATALOGUE[one["fault"]].losses * (most if (count := in_work(one)) is None else count) for one in strikes)


def _breaker_problems(notes: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """Say which fault opened no breaker though it must, and which breaker was left open."""
    for name, fault in CATALOGUE.items():
        seen = [one for one in notes if one["fault"] == name]
        if fault.opens and len(seen) > 1 and _openings(seen[-1]) <= _openings(seen[0]):
            yield f"{name}: no circuit breaker opened"
    for name, breaker in (notes[-1].get("breakers") or {}).items():
        if breaker["state"] == "open":
            yield f"circuit breaker {name} was still open at the end"


def _openings(note: Mapping[str, Any]) -> int:
    return sum(breaker["opened"] for breaker in (note.get("breakers") or {}).values())


def _problems(result: Result, rows: Sequence[Row], at_risk: int) -> Iterable[str]:
    for row in rows:
        if row.lost:
            yield f"{row.fault}: {row.lost} tasks lost"
        if row.recovery_seconds is None:
            yield f"{row.fault}: the workers never came back to ordinary work"
        for reason in sorted(row.deaths):
            if reason in UNEXPLAINED or (reason != "expired" and reason not in CATALOGUE[row.fault].deaths):
                yield f"{row.fault}: {row.deaths[reason]} tasks dead-lettered as {reason}, which it does not explain"
    for kind, count in result.duplicates.items():
        if count and kind != REPEATABLE:
            yield f"{count} {kind} effects happened again"
    if result.duplicates.get(REPEATABLE, 0) > at_risk:
        yield f"{result.duplicates[REPEATABLE]} mails were sent again, more than the {at_risk} in work at a strike"
    for outcome in result.rules:
        if not outcome.passed:
            yield f"{outcome.title}: {outcome.measured_words}"
    if (result.by_phase.get(CALM, {}).get("completed") or 0) == 0:
        yield "no task of the calm phase was done"
