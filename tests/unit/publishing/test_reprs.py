"""What events and Flower show of a task's arguments is Celery's text to the letter."""

from __future__ import annotations

import pytest
from celery.utils.saferepr import saferepr
from hypothesis import example, given
from hypothesis import strategies as st

from celery_workers.reprs import arguments_repr

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
names = st.text(max_size=5)
values = (
    plain | st.binary(max_size=5) | st.lists(plain, max_size=2) | st.dictionaries(names, st.lists(plain, max_size=1))
)
lists = st.lists(values, max_size=4)
arguments = lists | lists.map(tuple) | st.dictionaries(names | st.integers(), values, max_size=4)


@given(arguments, st.integers(1, 60) | st.just(1024), st.integers(0, 4))
@example({"it's": "a 'quoted' text\n"}, 1024, 3)
@example(("x" * 20,), 24, 3)
@example(("x" * 20,), 25, 3)
@example((), 1, 3)
def test_it_is_what_celery_shows(given: object, most: int, levels: int) -> None:
    assert arguments_repr(given, most=most, levels=levels) == saferepr(given, most, levels)


class Number(int):
    def __str__(self) -> str:
        return "a number"


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize("given", [(Number(1),), {"a": Number(1)}, [Text("it's")], {Text("k"): 1}, range(3), {1, 2}, 7])
def test_types_of_ones_own_are_shown_as_celery_does(given: object) -> None:
    assert arguments_repr(given, most=1024, levels=3) == saferepr(given, 1024, 3)
