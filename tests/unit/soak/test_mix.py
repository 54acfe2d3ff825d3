"""Which task stands behind a number."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examx.catalogue import TASKS
from examx.schema import metadata
from harness.soak.mix import KINDS, PERIOD, Mix, make


def mix(tasks: int = 1000, seed: int = 1) -> Mix:
    return make(tasks, key="0a1b2c3d", rng=random.Random(seed))


def test_ninety_per_cent_are_short_calls_and_rows_nine_mail_one_documents() -> None:
    counts = Counter(mix(1_000_000).kinds())
    shares = {KINDS[position].name: count / 10_000 for position, count in counts.items()}
    assert shares == {"http": 20, "rows": 70, "mail": 9, "pdf": 0.5, "upload": 0.5}


@given(tasks=st.integers(1, 3 * PERIOD), seed=st.integers(0, 99))
def test_every_number_has_its_own_id_and_comes_back_from_it(tasks: int, seed: int) -> None:
    of = mix(tasks, seed)
    ids = [of.id_of(number) for number in range(tasks)]
    assert len(set(ids)) == tasks
    assert [of.number_of(one) for one in ids] == list(range(tasks))
    assert [KINDS[position] for position in of.kinds()] == [of.kind_of(number) for number in range(tasks)]


@pytest.mark.parametrize(
    "stranger",
    [
        "",
        "0a1b2c3d",
        "0a1b2c3d-1",
        "0a1b2c3d-000001000",
        "0a1b2c3d-00000000x",
        "ffffffff-000000001",
        "0a1b2c3d-\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0661",
    ],
)
def test_an_id_of_another_run_has_no_number(stranger: str) -> None:
    assert mix(1000).number_of(stranger) is None


def test_each_kind_is_a_task_of_the_application_and_leaves_what_it_says() -> None:
    for kind in KINDS:
        assert TASKS[kind.task].effect == kind.effect
        assert not kind.table or kind.table in metadata.tables


def test_the_same_seed_gives_the_same_tasks() -> None:
    assert mix(seed=3).kinds() == mix(seed=3).kinds() != mix(seed=4).kinds()
