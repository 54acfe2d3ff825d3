"""Which messages an answer of the broker is about."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from celery_workers.confirms import Confirms


def sent(count: int) -> Confirms[int]:
    """Messages 1 to `count`, each its own item."""
    confirms: Confirms[int] = Confirms()
    for number in range(1, count + 1):
        confirms.sent(number)
    return confirms


def test_an_answer_is_about_one_message() -> None:
    confirms = sent(3)
    assert confirms.answered(2, multiple=False) == [2]
    assert confirms.answered(2, multiple=False) == []
    assert len(confirms) == 2


def test_a_multiple_answer_is_about_all_up_to_its_tag() -> None:
    confirms = sent(5)
    confirms.answered(2, multiple=False)
    assert confirms.answered(4, multiple=True) == [1, 3, 4]
    assert confirms.take_all() == [5]


def test_a_multiple_answer_with_tag_zero_is_about_all_there_are() -> None:
    assert sent(3).answered(0, multiple=True) == [1, 2, 3]


def test_a_message_nobody_asks_for_has_a_tag_all_the_same() -> None:
    confirms: Confirms[str] = Confirms()
    for item in ("a", None, "b"):
        confirms.sent(item)
    assert confirms.answered(2, multiple=False) == []
    assert confirms.answered(3, multiple=False) == ["b"]


def test_the_oldest_that_matches_stays() -> None:
    confirms = sent(4)
    assert confirms.oldest(lambda number: number > 2) == 3
    assert confirms.oldest(lambda number: number > 9) is None
    assert len(confirms) == 4


@given(st.integers(0, 30), st.lists(st.tuples(st.integers(0, 35), st.booleans())))
def test_every_message_is_answered_exactly_once_or_left(count: int, answers: list[tuple[int, bool]]) -> None:
    confirms = sent(count)
    told = [number for tag, multiple in answers for number in confirms.answered(tag, multiple=multiple)]
    left = confirms.take_all()
    assert sorted(told + left) == list(range(1, count + 1))
    assert left == sorted(left)
    assert len(confirms) == 0
