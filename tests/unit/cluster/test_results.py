"""The table of an end-to-end run has what a test counted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.results import Results

NAME = "tests/cluster/test_5_faults.py::test_it"


def _report(when: str, seconds: float, outcome: str = "passed", **counted: object) -> pytest.TestReport:
    found: Any = pytest.TestReport(
        NAME, (NAME, 1, "test_it"), {}, outcome, None, when, user_properties=list(counted.items()), duration=seconds
    )
    return found


def test_what_a_test_counted_is_in_the_table_and_in_the_document():
    results = Results()
    results.add(_report("setup", 1.0))
    results.add(_report("call", 2.0, ran_twice=3))
    results.add(_report("teardown", 0.5, ran_twice=3))
    assert results.document()["tests"] == [
        {"name": "test_5_faults.py::test_it", "seconds": 3.5, "outcome": "passed", "counted": {"ran_twice": 3}}
    ]
    assert [line.strip() for line in results.text()][1] == "ran_twice: 3"


def test_what_was_made_before_the_first_test_is_nobodys_time():
    results = Results()
    results.note_before("the cluster", 100.0)
    results.add(_report("setup", 7.0))
    results.note_shared("the release", 5.0)
    results.add(_report("call", 6.0))
    document = results.document()
    assert [row["seconds"] for row in document["shared"]] == [100.0, 5.0]
    assert [row["seconds"] for row in document["tests"]] == [8.0]
