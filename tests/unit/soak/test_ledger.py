"""The account of every number, against a slow and plain one; what is lost or doubled on purpose is found."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.soak.ledger import DEATHS, Columns, Offer, account, numbers_in, times, total
from harness.soak.mix import KINDS
from harness.spike.ledger import FinalState, LedgerError

Row = tuple[int, int, int, int, int]
ROWS = st.tuples(
    st.integers(0, len(KINDS) - 1),
    st.sampled_from(list(map(int, Offer))),
    st.integers(0, 3),
    st.integers(0, len(DEATHS) - 1),
    st.integers(0, 1),
)


def columns(rows: list[Row]) -> Columns:
    return Columns(*(bytes(row[place] for row in rows) for place in range(5)))


def healthy(tasks: int) -> list[Row]:
    return [(number % len(KINDS), int(Offer.ACCEPTED), 1, 0, 0) for number in range(tasks)]


def plain_state(row: Row) -> str:
    """What the words of design.md say, one after the other."""
    _, offer, effects, death, waiting = row
    reason = DEATHS[death]
    if offer == Offer.REFUSED and reason == "dropped":  # told no, and kept: no death of an accepted task
        reason = None
    if effects:
        return "completed"
    if reason is not None:
        return "dead_lettered"
    if waiting:
        return "in_flight"
    return {0: "never_offered", 1: "unconfirmed", 2: "lost", 3: "refused_finally"}[offer]


@given(st.lists(ROWS, max_size=60))
def test_every_number_has_exactly_one_end(rows: list[Row]) -> None:
    whole = total(account(columns(rows)))
    ends = [plain_state(row) for row in rows]
    assert whole.never_offered == ends.count("never_offered")
    for name in ("completed", "dead_lettered", "in_flight", "lost", "refused_finally", "unconfirmed"):
        assert getattr(whole.counts, name) == ends.count(name)
    assert whole.tasks == len(rows)
    assert whole.again == sum(max(0, row[2] - 1) for row in rows)


@given(st.lists(ROWS, max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_parts_add_up_to_the_whole(rows: list[Row], one: int, other: int) -> None:
    start, end = sorted((one, other))
    all_of_it = columns(rows)
    pieces = [total(account(all_of_it.part(a, b))) for a, b in ((0, start), (start, end), (end, len(rows)))]
    assert sum(piece.tasks for piece in pieces) == len(rows)
    assert sum(piece.counts.lost for piece in pieces) == total(account(all_of_it)).counts.lost


@given(st.integers(1, 200), st.randoms(use_true_random=False))
def test_a_deliberately_lost_task_is_found(tasks: int, rng: random.Random) -> None:
    rows, victim = healthy(tasks), rng.randrange(tasks)
    kind, offer, _, death, waiting = rows[victim]
    rows[victim] = (kind, offer, 0, death, waiting)
    accounts = account(columns(rows))
    assert total(accounts).counts.lost == 1
    assert accounts[KINDS[kind].name].counts.lost == 1
    assert numbers_in(columns(rows), FinalState.LOST, at_most=5) == [victim]


@given(st.integers(1, 200), st.integers(1, 4), st.randoms(use_true_random=False))
def test_a_deliberately_doubled_effect_is_counted_under_its_kind(tasks: int, more: int, rng: random.Random) -> None:
    rows, victim = healthy(tasks), rng.randrange(tasks)
    kind, offer, _, death, waiting = rows[victim]
    rows[victim] = (kind, offer, 1 + more, death, waiting)
    again = {name: one.again for name, one in account(columns(rows)).items()}
    assert again == {one.name: more * (one.name == KINDS[kind].name) for one in KINDS}


def test_an_effect_nobody_confirmed_counts_as_accepted() -> None:
    whole = total(account(columns([(0, int(Offer.OFFERED), 1, 0, 0)])))
    assert (whole.counts.accepted, whole.counts.completed, whole.counts.resolved_late) == (1, 1, 1)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(LedgerError, match="same length"):
        Columns(b"\0\0", b"\0", b"\0", b"\0", b"\0")


@pytest.mark.parametrize(
    ("found", "of", "expected"), [(0, 3, 0), (2, 3, 0), (3, 3, 1), (4, 3, 2), (6, 3, 2), (1, 1, 1), (2, 1, 2)]
)
def test_an_effect_of_several_rows_counts_when_all_are_there(found: int, of: int, expected: int) -> None:
    assert times(found, of=of) == expected


def test_a_million_tasks_take_megabytes() -> None:
    million = Columns(*(bytes(1_000_000) for _ in range(5)))
    assert total(account(million)).never_offered == 1_000_000
