"""The comparison itself: what its hours meet, and that a difference is found, shrunk, kept and told."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest

from tests.conformance import coverage, kept
from tests.conformance.compare import compare, decided, desired, first_difference
from tests.conformance.coverage import Coverage
from tests.conformance.hours import Document, live, make_hour
from tests.conformance.shrink import shrink, smallest
from tests.unit.autoscaling import trace_files

SAMPLE_HOURS = 150
SAMPLE_SECONDS = 450.0
EDGE = 5  # the wrong oracle never goes above it


def wrong(hours: Sequence[Document]) -> list[list[int]]:
    """An oracle that agrees with the core up to so many replicas."""
    return [[min(replicas, EDGE) for replicas in desired(hour)] for hour in hours]


def right(hours: Sequence[Document]) -> list[list[int]]:
    """An oracle that agrees with the core."""
    return [desired(hour) for hour in hours]


def test_a_sample_of_hours_meets_every_feature():
    met = Coverage()
    for seed in range(1, SAMPLE_HOURS + 1):
        met.add(coverage.of_hour(*live(seed, seconds=SAMPLE_SECONDS)))
        if not met.missing():
            return
    assert met.missing() == []


def test_coverage_counts_hours_and_decisions():
    hours = [make_hour(seed, seconds=300.0) for seed in (1, 2, 3)]
    met, raised = Coverage(), []
    for hour in hours:
        met.add(coverage.of_hour(hour, decided(hour)))
        raised.append(sum(one.desired > one.current for one in decided(hour)))
    assert sum(raised) > 0
    (row,) = [row for row in met.rows() if row[0] == "replicas raised"]
    assert row == ("replicas raised", sum(count > 0 for count in raised), sum(raised))


def test_what_was_decided_while_an_hour_was_made_is_what_a_replay_decides():
    hour, decisions = live(9, seconds=600.0)
    assert decided(hour) == decisions


def test_an_hour_is_the_same_each_time():
    assert make_hour(17, seconds=300.0) == make_hour(17, seconds=300.0)
    assert make_hour(17, seconds=300.0) != make_hour(18, seconds=300.0)


def test_agreement_is_counted():
    found = compare([1, 2], right)
    assert found.differing == ()
    assert found.decisions == sum(len(make_hour(seed)["observations"]) for seed in (1, 2))


def test_a_difference_is_found_shrunk_and_kept(tmp_path, monkeypatch):
    seed = next(seed for seed in range(1, 50) if max(desired(make_hour(seed))) > EDGE)
    assert compare([seed], wrong).differing == (seed,)
    path = kept.write_difference(seed, wrong, tmp_path / "build")
    monkeypatch.setattr(kept, "KEPT", tmp_path / "kept.jsonl")
    assert kept.keep(path) == kept.keep(path) == tmp_path / "kept.jsonl"
    monkeypatch.setattr(trace_files, "DIRECTORY", tmp_path)
    (case,) = trace_files.read_all()
    assert len(case["observations"]) < 5
    assert case["decisions"] == wrong([case])[0]
    assert desired(case) != case["decisions"]


def test_shrinking_asks_only_so_often():
    hour, asked = make_hour(1, seconds=600.0), []

    def differs(smaller: Document) -> bool:
        asked.append(smaller)
        return True

    small = shrink(copy.deepcopy(hour), differs, tries=3)
    assert len(asked) == 3
    assert len(small["observations"]) < len(hour["observations"])


def test_an_hour_that_agrees_is_not_shrunk():
    hour = make_hour(1, seconds=300.0)
    assert first_difference(hour, right) is None
    with pytest.raises(ValueError, match="hour 1 does not differ"):
        smallest(hour, right)
