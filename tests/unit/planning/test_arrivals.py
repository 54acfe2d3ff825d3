"""What came on a real day, read and offered."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.planning.arrival_files import read
from harness.planning.counts import ALL_TASKS, Counts, mix_of, mix_of_one, offer_of
from harness.spike.scenario import load_scenario
from tests.unit.planning.cases import topology

MAIL = "forgot_password_mail"


def written(directory: Path, text: str, name: str = "day.csv") -> Path:
    path = directory / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"minute,{MAIL},check\n0,10,1\n1,20,0\n", {MAIL: (10, 20), "check": (1, 0)}),
        (f"{MAIL}\n10\n20\n", {MAIL: (10, 20)}),
        ("count\n10\n20\n", {ALL_TASKS: (10, 20)}),
        ("10\n20\n", {ALL_TASKS: (10, 20)}),
        (f"time,{MAIL}\n0,10\n1,20\n", {MAIL: (10, 20)}),
        ("time,count\n2026-01-01T10:00,10\n2026-01-01T10:01,20\n\n", {ALL_TASKS: (10, 20)}),
    ],
)
def test_a_table_has_a_line_a_minute_and_a_column_a_task(
    text: str, expected: dict[str, tuple[float, ...]], tmp_path: Path
) -> None:
    found = read(written(tmp_path, text))
    assert found == Counts(bucket_seconds=60.0, by_task=expected)
    assert found.seconds == 120


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "empty"),
        (f"{MAIL}\nten\n", r"day\.csv: line 2, forgot_password_mail: 'ten' is no count"),
        (f"{MAIL}\n-1\n", "is no count"),
        (f"{MAIL}\nnan\n", "is no count"),
        (f"minute,{MAIL}\n0\n", r"line 2 has 1 columns"),
        (f"minute,{MAIL},{MAIL}\n0,1,1\n", "each once"),
        ("count\n0\n0\n", "no task at all"),
    ],
)
def test_a_table_that_is_none_is_told_by_its_line(text: str, wrong: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=wrong):
        read(written(tmp_path, text))


def export(*series: tuple[dict[str, str], list[tuple[float, str]]]) -> str:
    result = [{"metric": labels, "values": values} for labels, values in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


def test_prometheus_gives_rates_a_second_and_gaps_count_as_nothing(tmp_path: Path) -> None:
    text = export(
        ({"task": MAIL}, [(1000, "2"), (1030, "4"), (1060, "0")]), ({"task": "check"}, [(1000, "1"), (1060, "1")])
    )
    found = read(written(tmp_path, text, "day.json"))
    assert found == Counts(bucket_seconds=30.0, by_task={MAIL: (60, 120, 0), "check": (30, 0, 30)})


def test_one_series_needs_no_name_and_several_do(tmp_path: Path) -> None:
    one = export(({}, [(0, "1"), (60, "1")]))
    assert read(written(tmp_path, one, "day.json")).by_task == {ALL_TASKS: (60, 60)}
    two = export(({"a": "1"}, [(0, "1"), (60, "1")]), ({"a": "2"}, [(0, "1"), (60, "1")]))
    with pytest.raises(InputError, match="which task a series counts"):
        read(written(tmp_path, two, "day.json"))


@pytest.mark.parametrize("text", ["{", "{}", "[]", export(), export(({}, [(0, "1")]))])
def test_another_document_is_no_export(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"day\.json: "):
        read(written(tmp_path, text, "day.json"))


def test_every_counted_task_is_offered_in_its_minute() -> None:
    counts = Counts(bucket_seconds=60.0, by_task={MAIL: (10, 0, 5)})
    offer = offer_of(counts, mix_of(load_scenario("email-campaign")), topology(), source="day.csv", run_id="r")
    minutes = Counter(int(one.due_seconds // 60) for one in offer.plan.arrivals)
    assert minutes == {0: 10, 2: 5}
    dues = [one.due_seconds for one in offer.plan.arrivals]
    assert dues == sorted(dues)
    assert {one.service_seconds for one in offer.plan.arrivals} == {2.0}
    assert len({one.id for one in offer.plan.arrivals}) == 15
    again = offer_of(counts, mix_of(load_scenario("email-campaign")), topology(), source="day.csv", run_id="r")
    assert again.plan == offer.plan


def test_fractions_of_tasks_add_up() -> None:
    counts = Counts(bucket_seconds=15.0, by_task={MAIL: (0.4,) * 10})
    mix = mix_of(load_scenario("email-campaign"))
    assert len(offer_of(counts, mix, topology(), source="day", run_id="r").plan.arrivals) == 4


def test_a_common_count_is_spread_by_the_shares() -> None:
    scenario = load_scenario("io-alone")
    mix = mix_of(replace(scenario, objectives=()))
    found = offer_of(
        Counts(bucket_seconds=60.0, by_task={ALL_TASKS: (4000,)}), mix, topology(), source="day", run_id="r"
    )
    share = sum(one.task == MAIL for one in found.plan.arrivals) / 4000
    assert share == pytest.approx(0.30, abs=0.05)


def test_what_the_mix_does_not_know_is_named() -> None:
    counts = Counts(bucket_seconds=60.0, by_task={"pay": (1,)})
    with pytest.raises(InputError, match="no task pay in email-campaign"):
        offer_of(counts, mix_of(load_scenario("email-campaign")), topology(), source="day.csv", run_id="r")
    with pytest.raises(InputError, match="p95_latency_ratio is about a phase"):
        mix_of(load_scenario("mixed-surge"))


def test_a_task_alone_needs_no_scenario() -> None:
    mix = mix_of_one("pay", service_seconds=3.0, cpu_seconds=0.01)
    counts = Counts(bucket_seconds=60.0, by_task={ALL_TASKS: (7,)})
    (*_, last) = offer_of(counts, mix, topology(), source="day", run_id="r").plan.arrivals
    assert (last.task, last.service_seconds, last.queue) == ("pay", 3.0, topology()["default_queue"])
