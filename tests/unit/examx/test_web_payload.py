"""What a stranger may say about a task, and what not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examx.tasks.base import PARAMETERS
from examx.web import payload


@pytest.fixture(scope="module", autouse=True)
def tasks() -> None:
    from examx import app

    app.loader.import_default_modules()


def test_every_task_of_the_catalogue_takes_what_it_takes_by_default() -> None:
    assert len(PARAMETERS) == 25
    for parameters in PARAMETERS.values():
        given_ = {
            name: list(one.default) if isinstance(one.default, tuple) else one.default
            for name, one in parameters.items()
        }
        assert payload.problems(parameters, given_) == []
        assert payload.problems(parameters, {}) == []


@pytest.mark.parametrize(
    ("task", "arguments", "problem"),
    [
        ("process_paper_task", [], "JSON object"),
        ("process_paper_task", None, "JSON object"),
        ("process_paper_task", {"pages": "2"}, "pages: expected int"),
        ("process_paper_task", {"pages": True}, "pages: expected int"),
        ("process_paper_task", {"pages": -1}, "pages: expected int"),
        ("process_paper_task", {"pages": 10**9}, "pages: expected int"),
        ("process_paper_task", {"job": 1}, "no argument 'job'"),
        ("process_paper_task", {"x" * 10_000: 1}, "no argument"),
        ("forgot_password_mail", {"user": "x" * 1001}, "user: expected str"),
        ("forgot_password_mail", {"user": None}, "user: expected str"),
        ("check_db_connections", {"wait_seconds": math.nan}, "wait_seconds: expected float"),
        ("check_db_connections", {"wait_seconds": math.inf}, "wait_seconds: expected float"),
        ("process_exam_auto_submit_for_students", {"student_numbers": ["1"]}, "student_numbers: expected"),
        ("process_exam_auto_submit_for_students", {"student_numbers": [1] * 1001}, "student_numbers: expected"),
    ],
)
def test_what_does_not_fit_is_named(task: str, arguments: object, problem: str) -> None:
    (found,) = payload.problems(PARAMETERS[task], arguments)
    assert problem in found
    assert len(found) < 300


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(arguments=ANYTHING | st.dictionaries(st.sampled_from(["exam", "students", "students_a_task"]), ANYTHING))
def test_whatever_comes_is_judged_and_no_more(arguments: object) -> None:
    found = payload.problems(PARAMETERS["process_exam_auto_submit"], arguments)
    if not found:
        assert isinstance(arguments, dict)
        assert all(value is None or 0 <= value <= payload.LARGEST_NUMBER for value in arguments.values())


@pytest.mark.parametrize("task_id", ["", "-a", "a/b", "a b", "a" * 129, "../x", "ä"])
def test_an_id_that_cannot_name_a_file_is_refused(task_id: str) -> None:
    assert not payload.is_task_id(task_id)
    assert payload.is_task_id("5f2b-a.b_c")
