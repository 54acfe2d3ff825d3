"""The ledger: what became of every task a run offered.

It reads what others recorded (the publishers' journals, the effects seen outside the workers, the dead-letter queues,
the messages still queued) and gives each task id exactly one final state. A task is done when its effect was seen,
whatever Celery or the publisher said about it. Pure: no files, no clock.

The identities, checked on every set of counts:

    offered       = accepted + refused_finally + unconfirmed
    accepted      = completed + dead_lettered + lost + in_flight
    dead_lettered = expired + failed + poison + dropped
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Protocol

from harness.errors import HarnessError, InputError


class LedgerError(HarnessError):
    """The numbers do not add up: an error in the ledger, or a result file somebody changed."""


class OfferEvent(StrEnum):
    """What a publisher writes about one task; `offered` comes before its first attempt."""

    OFFERED = "offered"
    REFUSED = "refused"
    ACCEPTED = "accepted"
    UNCONFIRMED = "unconfirmed"
    GAVE_UP = "gave_up"


class Publication(StrEnum):
    """How offering a task ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused_finally"
    UNCONFIRMED = "unconfirmed"


class FinalState(StrEnum):
    """Where a task ended; each id has exactly one."""

    COMPLETED = "completed"
    DEAD_LETTERED = "dead_lettered"
    IN_FLIGHT = "in_flight"
    LOST = "lost"
    REFUSED = "refused_finally"
    UNCONFIRMED = "unconfirmed"


class Death(StrEnum):
    """Why an accepted message stands in a dead-letter queue."""

    EXPIRED = "expired"  # waited longer than the queue's TTL
    FAILED = "failed"  # a worker rejected it
    POISON = "poison"  # redelivered more often than the queue's delivery limit
    DROPPED = "dropped"  # pushed out of a full queue after it had been accepted (overflow: drop-head)


# What workers say, and RabbitMQ's x-death reasons. A message without one was put there by the publisher, which was
# refused by the work queue.
DEATHS = {
    "failed": Death.FAILED,
    "timeout": Death.FAILED,
    "unknown": Death.FAILED,
    "poison": Death.POISON,
    "refused": Death.DROPPED,
    "": Death.DROPPED,
    "expired": Death.EXPIRED,
    "rejected": Death.FAILED,
    "delivery_limit": Death.POISON,
    "maxlen": Death.DROPPED,
}


@dataclass(frozen=True, slots=True)
class Offer:
    """One line of a publisher's journal; `at` is seconds since the epoch."""

    at: float
    id: str
    event: OfferEvent
    task: str
    queue: str
    phase: str
    attempt: int = 1
    stored: bool = False  # refused, yet kept in the dead-letter queue: must not be offered again
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """Something a task did to the outside; `at` is seconds since the epoch."""

    at: float
    id: str
    kind: str


class DeadLetterLike(Protocol):
    """A message in a dead-letter queue: its task id and RabbitMQ's reason."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def reason(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The least a dead letter must say."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task's whole way. Times are seconds since the epoch, None where it did not come so far."""

    id: str
    task: str
    queue: str
    phase: str
    publication: Publication
    state: FinalState
    death: Death | None
    first_attempt_at: float
    accepted_at: float | None
    done_at: float | None  # its first effect of the expected kind
    refused_at: tuple[float, ...]
    resolved_late: bool  # no confirm came, but the broker had it
    stored: bool  # refused finally, yet kept in a dead-letter queue
    repeated: int = 0  # effects beyond the first, of any kind

    @property
    def latency_seconds(self) -> float | None:
        """First publish attempt to effect, None for a task that was not done."""
        return None if self.done_at is None else self.done_at - self.first_attempt_at


@dataclass(frozen=True)
class Counts:
    """How many tasks ended where. Raises LedgerError when the identities do not hold."""

    offered: int = 0
    accepted: int = 0
    refused_finally: int = 0
    unconfirmed: int = 0
    completed: int = 0
    dead_lettered: int = 0
    lost: int = 0
    in_flight: int = 0
    expired: int = 0
    failed: int = 0
    poison: int = 0
    dropped: int = 0
    refused_stored: int = 0  # part of refused_finally
    resolved_late: int = 0  # part of accepted
    refused_then_accepted: int = 0  # part of accepted
    refused_tasks: int = 0  # tasks refused at least once
    refusals: int = 0  # refused attempts, all tasks together

    def __post_init__(self) -> None:
        _must_add_up("offered", self.offered, self.accepted, self.refused_finally, self.unconfirmed)
        _must_add_up("accepted", self.accepted, self.completed, self.dead_lettered, self.lost, self.in_flight)
        _must_add_up("dead_lettered", self.dead_lettered, self.expired, self.failed, self.poison, self.dropped)
        for part, whole in (
            ("refused_stored", "refused_finally"),
            ("resolved_late", "accepted"),
            ("refused_then_accepted", "accepted"),
            ("refused_tasks", "refusals"),
        ):
            if getattr(self, part) > getattr(self, whole):
                raise LedgerError(f"{part} {getattr(self, part)} is more than {whole} {getattr(self, whole)}")

    @classmethod
    def of(cls, records: Iterable[TaskRecord]) -> Counts:
        """Count the records; publications, states and deaths are tallied apart, so that the identities test them."""
        rows = list(records)
        publications = Counter(row.publication for row in rows)
        states = Counter(row.state for row in rows)
        deaths = Counter(row.death for row in rows if row.death)
        return cls(
            offered=len(rows),
            accepted=publications[Publication.ACCEPTED],
            refused_finally=publications[Publication.REFUSED],
            unconfirmed=publications[Publication.UNCONFIRMED],
            completed=states[FinalState.COMPLETED],
            dead_lettered=states[FinalState.DEAD_LETTERED],
            lost=states[FinalState.LOST],
            in_flight=states[FinalState.IN_FLIGHT],
            expired=deaths[Death.EXPIRED],
            failed=deaths[Death.FAILED],
            poison=deaths[Death.POISON],
            dropped=deaths[Death.DROPPED],
            refused_stored=sum(row.stored for row in rows),
            resolved_late=sum(row.resolved_late for row in rows),
            refused_then_accepted=sum(bool(row.refused_at) and row.publication == "accepted" for row in rows),
            refused_tasks=sum(bool(row.refused_at) for row in rows),
            refusals=sum(len(row.refused_at) for row in rows),
        )

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name, in the order they are defined."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True)
class Ledger:
    """Every task's record, the counts, and what should not have been there."""

    records: tuple[TaskRecord, ...]
    counts: Counts
    duplicates: Mapping[str, int] = field(default_factory=dict)  # kind -> effects beyond each task's first
    unknown_effects: tuple[str, ...] = ()  # ids with an effect that nobody offered
    unknown_messages: tuple[str, ...] = ()  # ids in a queue or dead-letter queue that nobody offered
    faults: tuple[str, ...] = ()  # histories that a correct publisher and broker cannot make

    @property
    def duplicated(self) -> int:
        """Effects beyond each task's first, all kinds together."""
        return sum(self.duplicates.values())

    def lost_ids(self) -> list[str]:
        """Return the ids that were accepted and never seen again."""
        return [row.id for row in self.records if row.state is FinalState.LOST]

    def by(self, attribute: str) -> dict[str, Counts]:
        """Return the counts for each value of `task`, `queue` or `phase`, in the order first seen."""
        groups: dict[str, list[TaskRecord]] = {}
        for row in self.records:
            groups.setdefault(getattr(row, attribute), []).append(row)
        return {name: Counts.of(rows) for name, rows in groups.items()}


@dataclass(slots=True)
class _History:
    """One id's journal lines, folded; the order they come in does not matter."""

    first: Offer
    offered: int = 0
    accepted_at: float | None = None
    refused_at: list[float] = field(default_factory=list)
    stored: bool = False
    uncertain: bool = False
    gave_up: bool = False

    def add(self, offer: Offer) -> None:
        if offer.event is OfferEvent.OFFERED:
            self.offered += 1
        elif offer.event is OfferEvent.ACCEPTED:
            self.accepted_at = min(offer.at, self.accepted_at or offer.at)
        elif offer.event is OfferEvent.REFUSED:
            self.refused_at.append(offer.at)
            self.stored |= offer.stored
        elif offer.event is OfferEvent.UNCONFIRMED:
            self.uncertain = True
        else:
            self.gave_up = True
        if (offer.event is not OfferEvent.OFFERED, offer.at) < (
            self.first.event is not OfferEvent.OFFERED,
            self.first.at,
        ):
            self.first = offer


def account(
    *,
    offers: Iterable[Offer],
    effects: Iterable[Effect],
    dead_letters: Iterable[DeadLetterLike],
    in_queue: Collection[str],
    expected_kinds: Mapping[str, str],
) -> Ledger:
    """Give every offered id its one final state.

    `in_queue` holds the ids still in work queues when the run ended, ready or unacknowledged. `expected_kinds` maps
    each task to the kind of effect that proves it done; effects of other kinds only count towards duplicates.

    Raises InputError for a task without an expected kind and for a dead letter whose reason is not known, LedgerError
    when the numbers do not add up.
    """
    histories = _fold(offers)
    seen = _by_id_and_kind(effects)
    deaths = _first_deaths(dead_letters)
    waiting = set(in_queue)
    records = []
    for key, history in histories.items():
        kind = _expected_kind(expected_kinds, history.first.task)
        done_at = min(seen.get(key, {}).get(kind, ()), default=None)
        record = _settle(history, done_at=done_at, death=deaths.get(key), waiting=key in waiting)
        records.append(replace(record, repeated=sum(len(times) - 1 for times in seen.get(key, {}).values())))
    return Ledger(
        records=tuple(records),
        counts=Counts.of(records),
        duplicates=_duplicates(seen),
        unknown_effects=tuple(sorted(seen.keys() - histories.keys())),
        unknown_messages=tuple(sorted((deaths.keys() | waiting) - histories.keys())),
        faults=tuple(_faults(histories, records)),
    )


def _fold(offers: Iterable[Offer]) -> dict[str, _History]:
    histories: dict[str, _History] = {}
    for offer in offers:
        if offer.id not in histories:
            histories[offer.id] = _History(first=offer)
        histories[offer.id].add(offer)
    return histories


def _settle(history: _History, *, done_at: float | None, death: Death | None, waiting: bool) -> TaskRecord:
    """Decide publication and final state: what was found counts for more than what the publisher was told."""
    confirmed = history.accepted_at is not None
    # A message that was refused and kept carries the same reason as one accepted and dropped: the confirm tells.
    kept = not confirmed and death is Death.DROPPED
    died = None if kept else death
    found = done_at is not None or died is not None or waiting
    publication = Publication.ACCEPTED if confirmed or found else _unfound_publication(history, kept=kept)
    accepted = publication is Publication.ACCEPTED
    state = _state(publication, done=done_at is not None, died=died is not None, waiting=waiting)
    return TaskRecord(
        id=history.first.id,
        task=history.first.task,
        queue=history.first.queue,
        phase=history.first.phase,
        publication=publication,
        state=state,
        death=died if state is FinalState.DEAD_LETTERED else None,
        first_attempt_at=history.first.at,
        accepted_at=history.accepted_at,
        done_at=done_at,
        refused_at=tuple(sorted(history.refused_at)),
        resolved_late=accepted and not confirmed,
        stored=kept and not accepted,
    )


def _unfound_publication(history: _History, *, kept: bool) -> Publication:
    """Tell a refusal from not knowing: one attempt without an answer leaves the task unconfirmed."""
    refused = kept or (not history.uncertain and (bool(history.refused_at) or history.gave_up))
    return Publication.REFUSED if refused else Publication.UNCONFIRMED


def _state(publication: Publication, *, done: bool, died: bool, waiting: bool) -> FinalState:
    if publication is Publication.REFUSED:
        return FinalState.REFUSED
    if publication is Publication.UNCONFIRMED:
        return FinalState.UNCONFIRMED
    if done:
        return FinalState.COMPLETED
    if died:
        return FinalState.DEAD_LETTERED
    return FinalState.IN_FLIGHT if waiting else FinalState.LOST


def _by_id_and_kind(effects: Iterable[Effect]) -> dict[str, dict[str, list[float]]]:
    seen: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for effect in effects:
        seen[effect.id][effect.kind].append(effect.at)
    return seen


def _duplicates(seen: Mapping[str, Mapping[str, list[float]]]) -> dict[str, int]:
    """Effects beyond each task's first, by kind; kinds that were seen only once a task are there with 0."""
    extra: Counter[str] = Counter()
    for kinds in seen.values():
        for kind, times in kinds.items():
            extra[kind] += len(times) - 1
    return dict(sorted(extra.items()))


def _first_deaths(dead_letters: Iterable[DeadLetterLike]) -> dict[str, Death]:
    """One death an id; a refused-and-stored copy (dropped) yields to any other reason."""
    deaths: dict[str, Death] = {}
    for letter in dead_letters:
        if letter.reason not in DEATHS:
            raise InputError(
                f"dead letter {letter.id}: reason {letter.reason!r} is none of {', '.join(filter(None, DEATHS))}"
            )
        death = DEATHS[letter.reason]
        if deaths.get(letter.id, Death.DROPPED) is Death.DROPPED:
            deaths[letter.id] = death
    return deaths


def _expected_kind(expected_kinds: Mapping[str, str], task: str) -> str:
    if task not in expected_kinds:
        raise InputError(f"task {task}: no kind of effect is known that proves it done; add it to the task catalogue")
    return expected_kinds[task]


def _faults(histories: Mapping[str, _History], records: Iterable[TaskRecord]) -> Iterable[str]:
    for history, row in zip(histories.values(), records, strict=True):
        if history.offered == 0:
            yield f"{row.id}: published without an 'offered' line"
        elif history.offered > 1:
            yield f"{row.id}: offered {history.offered} times"
        if history.stored and row.state is FinalState.REFUSED and not row.stored:
            yield f"{row.id}: refused and said to be kept, but it is in no dead-letter queue"


def _must_add_up(name: str, whole: int, *parts: int) -> None:
    if whole != sum(parts) or min(parts) < 0:
        raise LedgerError(f"the ledger does not add up: {name} {whole} is not {' + '.join(map(str, parts))}")
