"""The table of an end-to-end run has what a test counted, whichever process it ran in."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster import results
from tests.cluster.results import Results

NAME = "tests/cluster/test_5_faults.py::test_it"


def _report(when: str, seconds: float, *properties: tuple[str, object], outcome: str = "passed") -> pytest.TestReport:
    found: Any = pytest.TestReport(
        NAME, (NAME, 1, "test_it"), {}, outcome, None, when, user_properties=list(properties), duration=seconds
    )
    return found


def test_what_a_test_counted_is_in_the_table_and_in_the_document():
    found = Results()
    found.add(_report("setup", 1.0))
    found.add(_report("call", 2.0, ("ran_twice", 3)))
    found.add(_report("teardown", 0.5, ("ran_twice", 3)))
    assert found.document()["tests"] == [
        {"name": "test_5_faults.py::test_it", "seconds": 3.5, "outcome": "passed", "counted": {"ran_twice": 3}}
    ]
    assert [line.strip() for line in found.text()][1] == "ran_twice: 3"


def test_what_was_made_before_the_first_test_is_nobodys_time():
    found = Results()
    found.note_before("the cluster", 100.0)
    found.add(_report("setup", 7.0))
    found.add(_report("call", 6.0, results.shared("the release", 5.0)))
    document = found.document()
    assert [row["seconds"] for row in document["shared"]] == [100.0, 5.0]
    assert [row["seconds"] for row in document["tests"]] == [8.0]


def test_what_is_made_for_more_than_one_test_is_counted_once_and_not_as_the_tests():
    found = Results()
    shared = results.shared("the release", 15.0)
    found.add(_report("setup", 16.0, shared))
    found.add(_report("call", 3.0, shared, ("tasks", 7)))
    document = found.document()
    assert document["shared"] == [{"name": "the release", "seconds": 15.0, "outcome": "passed"}]
    assert document["tests"] == [
        {"name": "test_5_faults.py::test_it", "seconds": 4.0, "outcome": "passed", "counted": {"tasks": 7}}
    ]


def test_values_files_of_all_processes_are_named():
    found = Results()
    found.add(_report("call", 1.0, results.values_files({"prod.yaml", "keda.yaml"})))
    found.add(_report("call", 1.0, results.values_files({"dev.yaml"})))
    assert found.document()["values_files"] == ["dev.yaml", "keda.yaml", "prod.yaml"]
