"""The figures of one run, each reckoned a second time from the run's own series."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.compare.measures import MEASURES, end_seconds, group_measures, measured
from harness.planning.costing import cycle_of_run
from harness.spike.result import Result
from harness.spike.timeline import Timeline
from tests.unit.compare.made import PRICES, surge


@pytest.fixture(scope="module")
def result() -> Result:
    return surge()


@pytest.fixture(scope="module")
def figures(result: Result) -> dict[str, float | None]:
    return measured(result, cycle_of_run(result, {}), PRICES)


def inside(result: Result) -> list[int]:
    """Return the places of the seconds that count."""
    end = end_seconds(result)
    return [place for place, second in enumerate(result.timeline.seconds) if 0 <= second < end]


def test_every_measure_has_a_figure(figures: dict[str, Any], result: Result) -> None:
    wanted = {one.key for one in (*MEASURES, *group_measures([result]))}
    assert figures.keys() == wanted
    assert all(value is not None for value in figures.values())


def test_work_and_throughput_are_those_of_all_queues(figures: dict[str, Any], result: Result) -> None:
    line = result.timeline
    held = [sum(line.queues[name]["unacked"][place] or 0 for name in line.queues) for place in inside(result)]
    assert figures["in_work_most"] == max(held)
    assert figures["in_work_mean"] == pytest.approx(sum(held) / len(held))
    assert figures["done_per_second"] == pytest.approx(result.counts.completed / end_seconds(result))
    assert figures["done_per_second"] <= figures["done_per_second_most"] <= max(line.completions)


def test_a_run_counts_to_its_last_effect(result: Result) -> None:
    assert end_seconds(result) == pytest.approx(result.last_due_seconds + result.drain_seconds)
    never = replace(result, drain_seconds=None, duration_seconds=500.0)
    assert end_seconds(never) == 500.0


def test_use_is_a_share_of_what_the_pods_that_were_there_request(figures: dict[str, Any], result: Result) -> None:
    line, classes = result.timeline, result.setup["classes"]
    used = requested = slots = 0.0
    for place in inside(result):
        for name, each in classes.items():
            pods = line.replicas[each["deployment"]]
            used += line.cpu_cores[name][place]
            requested += pods["running"][place] * each["cpu_request_cores"]
            slots += pods["ready"][place] * each["concurrency"]
    held = sum(line.queues[name]["unacked"][place] for name in classes for place in inside(result))
    assert figures["cpu_share"] == pytest.approx(used / requested)
    assert figures["slots_share"] == pytest.approx(held / slots)
    assert 0 < figures["slots_share"] <= 1


def test_hours_and_money_are_those_of_what_is_requested_until_the_end(figures: dict[str, Any], result: Result) -> None:
    line, classes = result.timeline, result.setup["classes"]
    end = end_seconds(result)
    requests = {each["deployment"]: each["cpu_request_cores"] for each in classes.values()}
    cores = [
        sum(line.replicas[name]["running"][place] * each for name, each in requests.items()) for place in inside(result)
    ]
    last = end - (len(cores) - 1)  # the last second counts as far as the run does
    assert figures["cores_most"] == pytest.approx(max(cores))
    assert figures["core_hours"] == pytest.approx((sum(cores[:-1]) + cores[-1] * last) / 3600)
    cost = figures["core_hours"] * PRICES.cpu_core_hour + figures["gib_hours"] * PRICES.memory_gib_hour
    assert figures["load_cost"] == pytest.approx(cost)


def test_a_month_that_does_not_hold_the_volume_has_no_cost(result: Result) -> None:
    slow = replace(result, drain_seconds=3e6, counts=replace(result.counts))
    assert measured(slow, cycle_of_run(slow, {}), PRICES)["month_cost"] is None


def test_groups_are_told_phase_by_phase(figures: dict[str, Any], result: Result) -> None:
    assert figures["p95 io surge"] == result.by_group["io"]["surge"]["p95"]
    assert figures["p95 cpu normal"] == result.by_group["cpu"]["normal"]["p95"]
    titles = [one.title for one in group_measures([result])]
    assert "95 % of io tasks done within, phase surge" in titles
    assert len(titles) == 4


def test_what_was_not_measured_is_left_out(result: Result) -> None:
    unknown = {name: (None,) * len(values) for name, values in result.timeline.memory_bytes.items()}
    blind: Timeline = replace(result.timeline, cpu_cores={}, memory_bytes=unknown)
    found = measured(replace(result, timeline=blind), cycle_of_run(result, {}), PRICES)
    assert found["cpu_share"] is found["memory_share"] is None
    assert found["in_work_most"] is not None


def test_the_reference_names_every_measure() -> None:
    text = (Path(__file__).parents[3] / "docs" / "reference" / "comparison.md").read_text()
    for one in MEASURES:
        assert f"`{one.key}`" in text, one.key
