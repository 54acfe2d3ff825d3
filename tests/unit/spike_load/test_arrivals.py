"""The list of tasks a scenario becomes, and what it needs at least."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.spike import arrivals
from harness.spike.arrivals import check_fits, ideal_drain_seconds, normal_rate, peak_cores, plan, queue_of
from tests.unit.spike_load.conftest import SCENARIO, make


def test_a_burst_is_due_at_once_and_divided_by_shares(topology: dict[str, Any]) -> None:
    load = plan(make(), topology, run_id="r")
    assert {arrival.due_seconds for arrival in load.arrivals} == {0.0}
    assert Counter(arrival.task for arrival in load.arrivals) == {"mail": 60, "ask": 20, "pdf": 20}
    assert {(arrival.task, arrival.queue, arrival.worker_class) for arrival in load.arrivals} == {
        ("mail", "io", "io"),
        ("ask", "io", "io"),
        ("pdf", "cpu", "cpu"),
    }
    assert {arrival.task for arrival in load.arrivals[:20]} == {"mail", "ask", "pdf"}  # mixed, not in blocks


def test_the_same_run_has_the_same_list_and_another_run_other_ids(topology: dict[str, Any]) -> None:
    first, again, other = (plan(make(), topology, run_id=run) for run in ("a", "a", "b"))
    assert first == again
    assert len({one.id for one in first.arrivals} | {one.id for one in other.arrivals}) == 200
    assert [one.task for one in first.arrivals] == [one.task for one in other.arrivals]


def test_another_seed_is_another_order(topology: dict[str, Any]) -> None:
    orders = [[one.task for one in plan(make(seed=seed), topology, run_id="a").arrivals] for seed in ("1", "2")]
    assert orders[0] != orders[1]
    assert Counter(orders[0]) == Counter(orders[1])


def test_phases_follow_one_another(topology: dict[str, Any]) -> None:
    phases = (
        "- {name: a, rate_per_second: 2.5, seconds: 10}\n  - {name: b, count: 8}\n  - {name: c, count: 7, seconds: 4}"
    )
    load = plan(make(phases=phases), topology, run_id="r")
    assert [(span.name, span.start_seconds, span.end_seconds, span.count) for span in load.phases] == [
        ("a", 0, 10, 25),
        ("b", 10, 10, 8),
        ("c", 10, 14, 7),
    ]
    for span in load.phases:
        dues = [one.due_seconds for one in load.arrivals if one.phase == span.name]
        assert len(dues) == span.count
        assert span.start_seconds <= min(dues) <= max(dues) <= span.end_seconds
    assert [one.due_seconds for one in load.arrivals] == sorted(one.due_seconds for one in load.arrivals)
    assert load.last_due_seconds == load.arrivals[-1].due_seconds


def test_arrivals_over_time_are_spread_and_not_a_metronome(topology: dict[str, Any]) -> None:
    load = plan(make(phases="- {name: a, count: 2000, seconds: 100}"), topology, run_id="r")
    per_second = Counter(int(one.due_seconds) for one in load.arrivals)
    assert 15 < sum(per_second[second] for second in range(50)) / 50 < 25
    variance = sum((per_second[second] - 20) ** 2 for second in range(100)) / 100
    assert 10 < variance < 35  # that of a Poisson stream is its mean, 20; a metronome's is 0


def test_1x_is_60_percent_of_what_the_minimum_replicas_hold(topology: dict[str, Any]) -> None:
    tasks = [task for task in make().tasks if task.task != "pdf"]
    # (3 x 2 s + 1 x 6 s) / 4 = 3 s a task; 10 slots hold 10/3 a second
    assert normal_rate(tasks, "io", topology) == pytest.approx(0.6 * 10 / 3)
    topology["classes"]["io"]["replicas"]["min"] = 2
    assert normal_rate(tasks, "io", topology) == pytest.approx(0.6 * 20 / 3)


def test_1x_is_what_the_scenario_states_whatever_pods_there_are(topology: dict[str, Any]) -> None:
    scenario = make(SCENARIO + "normal_slots: {io: 12}\n", phases="- {name: a, seconds: 100, load: {io: 2}}")
    few = plan(scenario, topology, run_id="r")
    assert len(few.arrivals) == 800  # 2 x 12 slots / 3 s a task for 100 s
    topology["classes"]["io"]["replicas"]["min"] = 2
    assert plan(scenario, topology, run_id="r") == few


def test_a_load_by_class_offers_each_class_its_own_mix(topology: dict[str, Any]) -> None:
    load = plan(make(phases="- {name: a, seconds: 100, load: {io: 2, cpu: 1}}"), topology, run_id="r")
    assert Counter(one.worker_class for one in load.arrivals) == {"io": 400, "cpu": 30}
    assert Counter(one.task for one in load.arrivals) == {"mail": 300, "ask": 100, "pdf": 30}


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        (
            "- {name: a, seconds: 1, load: {gpu: 1}}",
            r"no worker class 'gpu' in these values; there are: cpu, io",
        ),
        ("- {name: a, seconds: 1, load: {mixed: 1}}", r"load on 'mixed', but no task of the mix goes there"),
        ("- {name: a, seconds: 1, rate_per_second: 0.1}", r"offers no task at all"),
    ],
)
def test_a_load_that_the_topology_cannot_take_is_refused(topology: dict[str, Any], phases: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(make(phases=phases), topology, run_id="r")


def test_routes_match_the_name_or_its_part_after_a_dot(topology: dict[str, Any]) -> None:
    names = {
        "pdf": "cpu",
        "app.tasks.pdf": "cpu",
        "cleanup": "mixed",
        "a.cleanup": "mixed",
        "xpdf": "io",
        "other": "io",
    }
    assert {name: queue_of(name, topology) for name in names} == names


def test_a_route_to_a_queue_nobody_has_is_refused(topology: dict[str, Any]) -> None:
    topology["routes"].insert(0, {"task": "mail", "queue": "post"})
    with pytest.raises(InputError, match=r"no queue 'post'; queues: cpu, io, mixed"):
        plan(make(), topology, run_id="r")


@given(st.integers(1, 9))
def test_publishers_share_the_list_without_gap_or_overlap(count: int) -> None:
    load = plan(make(), {**_TOPOLOGY}, run_id="r")
    shares = [load.share(index, count) for index in range(count)]
    assert sorted(one.id for share in shares for one in share) == sorted(one.id for one in load.arrivals)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


_TOPOLOGY: dict[str, Any] = {
    "default_queue": "io",
    "routes": [],
    "queues": {"io": {"class": "io"}},
    "classes": {"io": {"concurrency": 10, "replicas": {"min": 1, "max": 5}}},
}


def test_a_share_outside_the_count_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"publisher 2 of 2"):
        plan(make(), _TOPOLOGY, run_id="r").share(2, 2)


def only(task: str, phases: str, **more: str) -> Any:
    return make(tasks=f"- {{task: {task}, service_seconds: 2, cpu_seconds: 0.1}}", phases=phases, **more)


def test_the_ideal_drain_of_a_burst_is_its_work_by_all_slots() -> None:
    # 1,000 tasks of 2 s on 5 x 10 slots: 20 rounds
    load = plan(only("mail", "- {name: a, count: 1000}"), _TOPOLOGY, run_id="r")
    assert ideal_drain_seconds(load, _TOPOLOGY) == pytest.approx(40)


def test_the_ideal_drain_of_a_load_that_fits_is_one_task() -> None:
    load = plan(only("mail", "- {name: a, count: 100, seconds: 100}"), _TOPOLOGY, run_id="r")
    assert ideal_drain_seconds(load, _TOPOLOGY) == pytest.approx(2)


def test_the_peak_of_a_long_burst_is_all_slots_busy() -> None:
    scenario = only("mail", "- {name: a, count: 5000}", publisher="{deadline_seconds: 9, cpu_seconds: 0.000001}")
    # 50 slots, 0.1 s of CPU in each 2 s: 2.5 cores, and what the run itself takes
    assert peak_cores(scenario, _TOPOLOGY)[0] == pytest.approx(2.5 + arrivals.BACKGROUND_CORES, rel=0.01)


def test_the_peak_of_a_slow_stream_is_its_rate() -> None:
    scenario = only(
        "mail", "- {name: a, count: 1000, seconds: 500}", publisher="{deadline_seconds: 9, cpu_seconds: 0.1}"
    )
    # 2 a second, each 0.1 s of work and 0.1 s of publishing; the busiest 10 s of a random stream lie above the mean
    need = peak_cores(scenario, _TOPOLOGY)[0] - arrivals.BACKGROUND_CORES
    assert 0.4 < need < 0.8


def test_the_publishers_pace_bounds_what_publishing_takes() -> None:
    paced = "{deadline_seconds: 9, cpu_seconds: 0.01, attempts_per_second: 50}"
    scenario = make(
        tasks="- {task: mail, service_seconds: 0.001, cpu_seconds: 0.000001}",
        phases="- {name: a, count: 2000}",
        publisher=paced,
    )
    assert peak_cores(scenario, _TOPOLOGY)[0] == pytest.approx(0.5 + arrivals.BACKGROUND_CORES, rel=0.05)


def test_a_class_that_grows_slowly_needs_less_at_first() -> None:
    scenario = only("mail", "- {name: a, count: 200}", publisher="{deadline_seconds: 9, cpu_seconds: 0.000001}")
    at_once, _ = peak_cores(scenario, _TOPOLOGY)
    growing, _ = peak_cores(scenario, _TOPOLOGY, ramps={"io": ((0.0, 1), (0.0, 2), (600.0, 5))})
    never, _ = peak_cores(scenario, _TOPOLOGY, ramps={"io": ((0.0, 1),)})
    # one replica: 10 slots x 0.1 / 2 s = 0.5 cores; a second one from second 10 on doubles it
    assert never == pytest.approx(0.5 + arrivals.BACKGROUND_CORES, rel=0.01)
    assert growing == pytest.approx(1.0 + arrivals.BACKGROUND_CORES, rel=0.02)
    assert at_once > growing


def test_a_scenario_too_big_for_the_machine_says_by_how_much_and_what_to_do() -> None:
    scenario = only("mail", "- {name: a, count: 5000}", publisher="{deadline_seconds: 9, cpu_seconds: 0.000001}")
    with pytest.raises(InputError) as caught:
        check_fits(scenario, _TOPOLOGY, cores=2)
    for part in ("small.yaml", "would need 2.6", "60% of this machine's 2 are 1.20", "5 cores or more"):
        assert part in str(caught.value)
    check_fits(scenario, _TOPOLOGY, cores=5)


@given(
    count=st.integers(1, 300),
    seconds=st.floats(0, 100),
    concurrency=st.integers(1, 20),
    replicas=st.integers(1, 5),
    pace=st.floats(5, 1000),
)
def test_cpu_is_neither_made_nor_lost_and_the_drain_has_its_bounds(
    count: int, seconds: float, concurrency: int, replicas: int, pace: float
) -> None:
    topology = {
        **_TOPOLOGY,
        "classes": {"io": {"concurrency": concurrency, "replicas": {"min": 1, "max": replicas}}},
    }
    publisher = f"{{deadline_seconds: 9, cpu_seconds: 0.01, attempts_per_second: {pace}}}"
    scenario = only("mail", f"- {{name: a, count: {count}, seconds: {seconds}}}", publisher=publisher)
    load = plan(scenario, topology, run_id="r")
    slots = concurrency * replicas
    drain = ideal_drain_seconds(load, topology)
    assert drain >= 2 - 1e-9
    assert drain >= count * 2 / slots - seconds - 1e-9
    need, _ = peak_cores(scenario, topology)
    assert need <= arrivals.BACKGROUND_CORES + slots * 0.1 / 2 + pace * 0.01 + count * 0.02 + 1e-9
    assert need > arrivals.BACKGROUND_CORES
