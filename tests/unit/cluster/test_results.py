"""The table of an end-to-end run, made from the reports of tests in several processes."""

from __future__ import annotations

import pytest

from tests.cluster import results


def report(when: str, seconds: float, *properties: tuple[str, object]) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid="tests/cluster/test_2_tasks.py::test_one",
        location=("", 0, ""),
        keywords={},
        outcome="passed",
        longrepr=None,
        when=when,  # type: ignore[arg-type]
        duration=seconds,
        user_properties=list(properties),
    )


def test_what_is_made_for_more_than_one_test_is_counted_once_and_not_as_the_test_s():
    found = results.Results()
    shared = results.shared("the release", 15.0)
    found.add(report("setup", 16.0, shared))
    found.add(report("call", 3.0, shared, ("tasks", 7)))
    document = found.document()
    assert document["shared"] == [{"name": "the release", "seconds": 15.0, "outcome": "passed"}]
    assert document["tests"] == [
        {"name": "test_2_tasks.py::test_one", "seconds": 4.0, "outcome": "passed", "counted": {"tasks": 7}}
    ]


def test_values_files_of_all_processes_are_named():
    found = results.Results()
    found.add(report("call", 1.0, results.values_files({"prod.yaml", "keda.yaml"})))
    found.add(report("call", 1.0, results.values_files({"dev.yaml"})))
    assert found.document()["values_files"] == ["dev.yaml", "keda.yaml", "prod.yaml"]
