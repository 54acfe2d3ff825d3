"""What a soak has shown: the account of every task, speed, what each fault cost, what must not have been. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from harness.chaos.faults import CATALOGUE
from harness.chaos.verdict import mails_at_risk
from harness.soak.ledger import Account, Columns, account, numbers_in, total
from harness.soak.mix import KINDS, Mix
from harness.spike.ledger import Death, FinalState

Sample = Mapping[str, Any]
Note = Mapping[str, Any]
BACK_RATE = 0.5
"""Work counts as ordinary again at this share of the run's median rate."""
NAMED_LOST = 20
REPEATABLE = "mail"
DEATHS = tuple(death.value for death in Death)


@dataclass(frozen=True, kw_only=True)
class StrikeRow:
    """One fault that struck, and the tasks from those that waited or were in work then up to the next one's.

    `at_seconds` is the run's own time. `recovery_seconds` runs from the fault's end, None: never.
    """

    fault: str
    title: str
    at_seconds: float
    hits: int
    accepted: int
    completed: int
    dead_lettered: int
    lost: int
    again: int
    recovery_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The outcome. `kinds` and `total` are counts by name; `again` are effects beyond each task's first, by kind."""

    run: str
    seed: int
    tasks: int
    parts: int
    seconds: float
    per_second: float
    at_least_per_second: float
    total: Mapping[str, int]
    kinds: Mapping[str, Mapping[str, int]]
    again: Mapping[str, int]
    mails_at_risk: int
    calls: Mapping[str, Mapping[str, int]]
    unknown: Mapping[str, int]
    lost_ids: Sequence[str]
    strikes: Sequence[StrikeRow]
    cpu_seconds: Mapping[str, float]
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
        """Read the JSON form, and nothing else that stands beside it. Raises KeyError or TypeError for what is none."""
        read = {one.name: document[one.name] for one in fields(cls)}
        return cls(**{**read, "strikes": [StrikeRow(**row) for row in document["strikes"]]})


def judge(
    *,
    name: str,
    seed: int,
    mix: Mix,
    columns: Columns,
    samples: Sequence[Sample],
    notes: Sequence[Note],
    doubts: Sequence[Note],
    calls: Mapping[str, Mapping[str, int]],
    unknown: Mapping[str, int],
    mail_queue: str,
    at_least_per_second: float,
) -> Verdict:
    """Judge a run by what was found, its samples and notes. Raises LedgerError when the numbers do not add up."""
    accounts = account(columns)
    whole = total(accounts)
    seconds = total_seconds(samples)
    again = _again(accounts)
    at_risk = mails_at_risk(notes, mail_queue) + sum(doubt["mails"] for doubt in doubts)
    rows = strike_rows(columns, samples, notes)
    per_second = whole.counts.completed / seconds if seconds else 0.0
    return Verdict(
        run=name,
        seed=seed,
        tasks=mix.tasks,
        parts=len({sample["part"] for sample in samples}),
        seconds=round(seconds, 1),
        per_second=round(per_second, 1),
        at_least_per_second=at_least_per_second,
        total=_counts(whole),
        kinds={kind: _counts(one) for kind, one in accounts.items()},
        again=again,
        mails_at_risk=at_risk,
        calls=calls,
        unknown=unknown,
        lost_ids=[mix.id_of(number) for number in numbers_in(columns, FinalState.LOST, at_most=NAMED_LOST)],
        strikes=rows,
        cpu_seconds=cpu_seconds(samples),
        problems=[
            *_ledger_problems(whole, again, at_risk, unknown),
            *(f"{row.fault}: work never came back to ordinary" for row in rows if row.recovery_seconds is None),
            *_slowness(per_second, at_least_per_second),
        ],
    )


def _counts(one: Account) -> dict[str, int]:
    return {"tasks": one.tasks, "never_offered": one.never_offered, **one.counts.as_dict(), "again": one.again}


def _again(accounts: Mapping[str, Account]) -> dict[str, int]:
    """Return the effects beyond each task's first, by kind of effect."""
    added: dict[str, int] = {kind.effect: 0 for kind in KINDS}
    for kind in KINDS:
        added[kind.effect] += accounts[kind.name].again
    return added


def _ledger_problems(
    whole: Account, again: Mapping[str, int], at_risk: int, unknown: Mapping[str, int]
) -> Iterable[str]:
    counts = whole.counts
    for number, what in (
        (counts.lost, "accepted tasks were lost"),
        (counts.in_flight, "tasks were still queued at the end"),
        (counts.unconfirmed, "tasks were never confirmed"),
        (whole.never_offered, "tasks were never offered"),
        (counts.refused_finally, "tasks were refused for good"),
    ):
        if number:
            yield f"{number:,} {what}"
    for death in DEATHS:
        if count := getattr(counts, death):
            yield f"{count:,} tasks were dead-lettered as {death}, which no fault of a soak explains"
    for effect, number in again.items():
        if number and effect != REPEATABLE:
            yield f"{number:,} {effect} effects happened again"
    if again.get(REPEATABLE, 0) > at_risk:
        yield f"{again[REPEATABLE]:,} mails were sent again, more than the {at_risk:,} in work or in doubt at a strike"
    for place, number in unknown.items():
        yield f"{number:,} {place} belong to no task of the run"


def _slowness(per_second: float, at_least: float) -> Iterable[str]:
    if per_second < at_least:
        yield f"{per_second:.0f} tasks a second, {at_least:g} wanted"


# --- time ------------------------------------------------------------------------------------------------------------


def parts_of(samples: Sequence[Sample]) -> dict[int, list[Sample]]:
    """Return the samples of each part: a run that was cut and taken up again has more than one."""
    parts: dict[int, list[Sample]] = {}
    for sample in samples:
        parts.setdefault(sample["part"], []).append(sample)
    return parts


def total_seconds(samples: Sequence[Sample]) -> float:
    """Return how long the load ran: from the first sample to the last of each part, added up."""
    return float(sum(part[-1]["t"] - part[0]["t"] for part in parts_of(samples).values()))


def run_seconds(samples: Sequence[Sample], at: float) -> float:
    """Return the run's own time of a moment: what was between its parts does not count."""
    return float(sum(max(0.0, min(at, part[-1]["t"]) - part[0]["t"]) for part in parts_of(samples).values()))


def rates(samples: Sequence[Sample]) -> list[float | None]:
    """Return the tasks done a second before each sample; None for the first of a part."""
    found: list[float | None] = []
    for position, sample in enumerate(samples):
        before = samples[position - 1] if position else None
        if before is None or before["part"] != sample["part"] or sample["t"] <= before["t"]:
            found.append(None)
        else:
            found.append(max(0.0, sample["done"] - before["done"]) / (sample["t"] - before["t"]))
    return found


def cpu_seconds(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the CPU seconds of each program, the parts' added up."""
    added: dict[str, float] = {}
    for part in parts_of(samples).values():
        last: Mapping[str, float] = next((sample["cpu"] for sample in reversed(part) if sample.get("cpu")), {})
        for program, seconds in last.items():
            added[program] = round(added.get(program, 0.0) + seconds, 1)
    return added


# --- faults ----------------------------------------------------------------------------------------------------------


def strike_rows(columns: Columns, samples: Sequence[Sample], notes: Sequence[Note]) -> list[StrikeRow]:
    """Return a row for each fault that struck, in their order."""
    begins = [position for position, note in enumerate(notes) if note["what"] == "begins"]
    rows = []
    for place, begin in enumerate(begins):
        after = begins[place + 1] if place + 1 < len(begins) else len(notes)
        end = notes[after]["number"] if after < len(notes) else len(columns)
        rows.append(_row(columns.part(notes[begin]["number"], end), samples, notes[begin:after]))
    return rows


def _row(columns: Columns, samples: Sequence[Sample], notes: Sequence[Note]) -> StrikeRow:
    whole = total(account(columns))
    fault = CATALOGUE[notes[0]["fault"]]
    ends = [note["t"] for note in notes if note["what"] == "ends"]
    return StrikeRow(
        fault=fault.name,
        title=fault.title,
        at_seconds=round(run_seconds(samples, notes[0]["t"]), 1),
        hits=sum(note["what"] in ("begins", "strikes") for note in notes),
        accepted=whole.counts.accepted,
        completed=whole.counts.completed,
        dead_lettered=whole.counts.dead_lettered,
        lost=whole.counts.lost,
        again=whole.again,
        recovery_seconds=recovery_seconds(samples, ends[-1]) if ends else None,
    )


def recovery_seconds(samples: Sequence[Sample], ended_at: float) -> float | None:
    """Return how long after a fault's end every pod was ready and tasks were done at half the run's median rate.

    Also when nothing was left to do. None: never.
    """
    speeds = rates(samples)
    known = [speed for speed in speeds if speed]
    enough = BACK_RATE * statistics.median(known) if known else 0.0
    for sample, speed in zip(samples, speeds, strict=True):
        waiting = sum(ready + unacked for ready, unacked in (sample["queues"] or {}).values())
        idle = sample["queues"] is not None and waiting == 0
        working = speed is not None and speed >= enough
        ready = all(ready >= desired for ready, desired in sample["pods"].values())
        if sample["t"] >= ended_at and ready and (working or idle):
            return round(max(0.0, sample["t"] - ended_at), 1)
    return None
