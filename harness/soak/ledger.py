"""The ledger of a soak: what became of each of its numbers, in a few bytes a number. Pure.

The states and identities are those of a spike's ledger (harness.spike.ledger); what is there an object for each task is
here one byte in each of some columns, so that a million tasks take megabytes and are added up within a second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice

from harness.soak.mix import KINDS
from harness.spike.ledger import Counts, Death, FinalState, LedgerError, Publication

MOST = 255
"""An effect that is there more often than this counts as this often."""
DEATHS = (None, *Death)
"""What the numbers in the column of deaths stand for."""


class Offer(IntEnum):
    """How far offering a task has come. A publisher that ends at any moment leaves `OFFERED` for what is in doubt."""

    NEVER = 0
    OFFERED = 1
    ACCEPTED = 2
    REFUSED = 3


@dataclass(frozen=True)
class Columns:
    """What was found of each number, one byte each.

    `effects` is how often the whole effect is there, `deaths` a position in DEATHS, `waiting` 1 for a message that is
    still in a work queue.
    """

    kinds: bytes | bytearray
    offers: bytes | bytearray
    effects: bytes | bytearray
    deaths: bytes | bytearray
    waiting: bytes | bytearray

    def __post_init__(self) -> None:
        if len({len(column) for column in self._all()}) != 1:
            raise LedgerError("the ledger's columns are not of the same length")

    def __len__(self) -> int:
        return len(self.kinds)

    def part(self, start: int, end: int) -> Columns:
        """Return the numbers from `start` up to but not `end`."""
        return Columns(*(column[start:end] for column in self._all()))

    def rows(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Yield each number's bytes."""
        return zip(*self._all(), strict=True)

    def _all(self) -> tuple[bytes | bytearray, ...]:
        return (self.kinds, self.offers, self.effects, self.deaths, self.waiting)


@dataclass(frozen=True)
class Account:
    """How many tasks ended where. `again` is how many effects are there beyond each task's first."""

    counts: Counts
    never_offered: int = 0
    again: int = 0

    @property
    def tasks(self) -> int:
        """All tasks."""
        return self.counts.offered + self.never_offered


def times(found: int, *, of: int) -> int:
    """Return how often an effect of `of` rows is there whole; rows beyond whole ones are one more, begun again."""
    whole, rest = divmod(found, of)
    return whole + (1 if whole and rest else 0)


def account(columns: Columns) -> dict[str, Account]:
    """Return the account of each kind, by name. Raises LedgerError when the numbers do not add up."""
    tallies: dict[int, Counter[str]] = {position: Counter() for position in range(len(KINDS))}
    # A million numbers have a few dozen different rows: those are judged, not each number.
    for (kind, *row), count in Counter(columns.rows()).items():
        for name, amount in _judged(*row).items():
            tallies[kind][name] += amount * count
    return {KINDS[position].name: _account(tally) for position, tally in tallies.items()}


def total(accounts: dict[str, Account]) -> Account:
    """Add accounts up."""
    added: Counter[str] = Counter()
    for one in accounts.values():
        added.update(one.counts.as_dict())
    return Account(
        Counts(**added),
        sum(one.never_offered for one in accounts.values()),
        sum(one.again for one in accounts.values()),
    )


def numbers_in(columns: Columns, state: FinalState, *, at_most: int) -> list[int]:
    """Return the first numbers that ended in this state."""
    found = (number for number, row in enumerate(columns.rows()) if _settle(*row[1:])[1] is state)
    return list(islice(found, at_most))


def _settle(offer: int, effects: int, death: int, waiting: int) -> tuple[Publication | None, FinalState | None]:
    """Decide one task's publication and final state: what was found counts for more than what the publisher was told.

    A refused message that is dead as dropped was kept by the dead-letter queue: told no, and refused it stays.
    """
    kept = offer == Offer.REFUSED and DEATHS[death] is Death.DROPPED
    died = death != 0 and not kept
    found = effects > 0 or died or waiting > 0
    if not found and offer != Offer.ACCEPTED:
        if offer == Offer.NEVER:
            return None, None
        return (
            (Publication.REFUSED, FinalState.REFUSED)
            if offer == Offer.REFUSED
            else (Publication.UNCONFIRMED, FinalState.UNCONFIRMED)
        )
    if effects:
        return Publication.ACCEPTED, FinalState.COMPLETED
    if died:
        return Publication.ACCEPTED, FinalState.DEAD_LETTERED
    return Publication.ACCEPTED, FinalState.IN_FLIGHT if waiting else FinalState.LOST


def _judged(offer: int, effects: int, death: int, waiting: int) -> dict[str, int]:
    """Return what one task with these bytes adds to which counts."""
    publication, state = _settle(offer, effects, death, waiting)
    if publication is None or state is None:
        return {"never_offered": 1}
    adds: Counter[str] = Counter({"offered": 1, "again": max(effects - 1, 0)})
    adds[publication.value] += 1
    if state.value != publication.value:
        adds[state.value] += 1
    if state is FinalState.DEAD_LETTERED and (reason := DEATHS[death]) is not None:
        adds[reason.value] += 1
    if publication is Publication.ACCEPTED and offer != Offer.ACCEPTED:
        adds["resolved_late"] += 1
    if publication is Publication.REFUSED:
        adds["refused_tasks"] += 1
        adds["refusals"] += 1
        adds["refused_stored"] += death != 0
    return adds


def _account(tally: Counter[str]) -> Account:
    again, never = tally.pop("again", 0), tally.pop("never_offered", 0)
    return Account(Counts(**tally), never, again)
