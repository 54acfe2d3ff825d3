"""The tuner, on a small case that is simulated for real."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from harness.planning import place, tuned_overlay, tuner
from harness.planning.candidates import Asked, Candidate, curve
from harness.planning.case import Case, judge
from harness.planning.figures import assumed
from harness.planning.offered import Offered
from harness.planning.planner import case_of, of_scenario
from harness.planning.scaled import scaled
from harness.planning.settings import Bounds, Setting, applied, grid, setting_of
from harness.simulation import simulate
from harness.simulation.cost import Pod, Prices
from harness.simulation.fluid_model import compiled
from harness.simulation.model import Nodes, Queue
from harness.spike.arrivals import Arrival, LoadPlan, PhaseSpan
from harness.spike.objectives import Objective
from harness.spike.scenario import Phase, load_scenario
from tests.unit.planning.cases import manifests, topology
from tests.unit.simulation.fluid_plants import load, plant, scaler, task, worker

PRICES = Prices(name="test", source="a test", currency="USD", cpu_core_hour=0.04, memory_gib_hour=0.005)
GIB_MILLI = 1000 * 2**30


def case(*, within: float, share: float = 0.99, tasks: int = 2000, limit: int | None = None) -> Case:
    """A burst of tasks of 4 s on one class of 50 slots, 1 to 2 pods."""
    io = worker(slots=50, scaler=scaler(low=1, high=2, depth=50), start_seconds=5.0, ready_seconds=8.0,
                cpu_request_milli=200, memory_request_milli=2 * GIB_MILLI)  # fmt: skip
    mail = task(seconds=4.0, cpu_seconds=0.001)
    arrivals = tuple(
        Arrival(id=str(number), due_seconds=0.0, task="mail", phase="burst", kwargs={}, queue="io", worker_class="io",
                service_seconds=4.0, cpu_seconds=0.001)
        for number in range(tasks)
    )  # fmt: skip
    return Case(
        plant=plant(io, queues=[Queue(name="io", max_length_messages=limit)]),
        offered=Offered(LoadPlan("run", arrivals, (PhaseSpan("burst", 0.0, 0.0, tasks),)), load((mail, [0.0] * tasks))),
        objectives=(Objective("completed_within", {"seconds": within, "min_share": share}),),
        limit_seconds=600.0,
        seed=1,
    )


def asked(
    *, most: int = 8, minimum: int = 1, room: Pod | None = None, cycles: float = 30.0, percent: float = 99.0
) -> Asked:
    """What is asked of every search here."""
    bounds = Bounds(most_replicas=most, most_minimum=minimum)
    return Asked(prices=PRICES, cycles=cycles, seeds=2, percent=percent, bounds=bounds, room=room)


def tuned(given: Case, **options) -> tuner.Tuned:
    return tuner.tune({"burst": given}, model=compiled(), simulate=simulate, asked=asked(**options))


def test_what_is_found_meets_the_objectives_and_what_was_given_does_not():
    given = case(within=60.0)
    found = tuned(given)
    assert found.choice is not None
    assert not judge(given, simulate).met
    for seed in (1, 2):
        better = replace(given.on(applied(given.plant, "io", found.choice["io"].setting)), seed=seed)
        assert judge(better, simulate).met
    assert "maximum" in found.choice["io"].changes


def test_values_that_do_already_stay_as_they_are():
    found = tuned(case(within=300.0))
    assert found.choice is not None
    assert found.choice["io"].changes == () or found.choice["io"].cost < _given(found).cost - 1e-6


def _given(found: tuner.Tuned) -> Candidate:
    return next(one for one in found.searches[0].candidates if not one.changes)


def test_each_changed_figure_has_its_reason():
    found = tuned(case(within=60.0))
    assert found.choice is not None
    for figure in found.choice["io"].changes:
        reason = next(one for one in found.reasons if one.figure == figure)
        assert not reason.verified.met or _given(found).cost > 0
    overlay = tuned_overlay.overlay(found, case(within=60.0).plant, head=["why"])
    values = yaml.safe_load(overlay)["workers"]["io"]
    assert values["replicas"]["max"] == found.choice["io"].setting.maximum
    assert "wanted (burst, seed" in overlay


def test_nothing_within_the_bounds_names_the_nearest_miss():
    found = tuned(case(within=5.0))
    assert found.choice is None
    nearest = found.searches[0].nearest
    assert nearest.worst.objective.name == "completed_within"
    assert nearest.worst.measured < 0.99


def test_room_bounds_what_is_found():
    assert tuned(case(within=60.0), room=Pod(cores=0.4, memory_gib=64.0)).choice is None
    assert tuned(case(within=60.0), room=Pod(cores=8.0, memory_gib=64.0)).choice is not None


def test_warm_pods_are_taken_only_where_time_asks_for_them():
    assert tuned(case(within=60.0), minimum=6).choice["io"].setting.minimum == 1  # type: ignore[index]
    hurried = tuned(case(within=30.0, tasks=1500), minimum=6).choice
    assert hurried is not None
    assert hurried["io"].setting.minimum > 1


def test_warm_pods_are_found_where_pods_that_start_take_each_others_cores():
    given = case(within=50.0)
    starting = replace(given.plant.classes[0], start_cpu_seconds=5.0)
    cold = given.on(replace(given.plant, classes=(starting,), nodes=Nodes(cores=1.0)))
    assert tuned(cold, minimum=1).choice is None
    found = tuned(cold, minimum=4)
    assert found.searches[0].feasible[0].setting.minimum == 1  # to the coarse model nobody shares a core
    assert found.choice is not None
    assert found.choice["io"].setting.minimum > 1


@pytest.mark.full  # half a minute; above is the same on one class
def test_values_are_found_that_hold_ten_times_the_traffic_with_headroom_on_two_cores():
    spike = scaled(load_scenario("spike-10x"), 1.2)
    offer = of_scenario(spike, topology(), run_id="r")
    given = case_of(offer, manifests(), topology(), place=place.local(2), figures=assumed("local"))
    found = tuner.tune(
        {spike.name: given}, model=compiled(), simulate=simulate, asked=asked(most=12, minimum=3, percent=99.9)
    )
    assert found.choice is not None
    plant = given.plant
    for name, candidate in found.choice.items():
        plant = applied(plant, name, candidate.setting)
    assert not judge(given, simulate).met
    assert judge(given.on(plant), simulate).met


def test_the_curve_falls():
    points = curve(tuned(case(within=60.0), minimum=4).searches)
    assert len(points) > 2
    assert [seconds for seconds, _ in points] == sorted(seconds for seconds, _ in points)
    assert [cost for _, cost in points] == sorted((cost for _, cost in points), reverse=True)


def test_a_setting_is_applied_whole():
    given = case(within=60.0, limit=1000)
    before = setting_of(given.plant, given.plant.classes[0])
    wanted = replace(before, minimum=2, maximum=5, queue_depth=100, queue_limit=3000)
    after = applied(given.plant, "io", wanted)
    assert setting_of(after, after.classes[0]) == wanted
    assert after.classes[0].replicas == 2
    assert wanted.changes(before) == ("minimum", "maximum", "queue_depth", "queue_limit")


def test_the_grid_begins_with_what_is_given_and_keeps_to_the_bounds():
    given = case(within=60.0, limit=1000)
    one = given.plant.classes[0]
    settings = list(grid(one, setting_of(given.plant, one), Bounds(most_replicas=6, most_minimum=2), offered=2000))
    assert settings[0] == setting_of(given.plant, one)
    assert len(set(settings)) == len(settings) > 20
    assert all(1 <= each.minimum <= min(2, each.maximum) and each.maximum <= 6 for each in settings)
    assert {each.queue_limit for each in settings} == {1000, 2000}
    assert all(_within_the_limit(each) for each in settings[1:])


def _within_the_limit(setting: Setting) -> bool:
    assert setting.queue_depth is not None
    assert setting.queue_limit is not None
    return setting.queue_depth * setting.maximum <= 0.8 * setting.queue_limit


def test_headroom_is_more_of_the_same_traffic():
    spike = scaled(load_scenario("spike-10x"), 1.2)
    assert spike.phases[1].load == pytest.approx({"io": 12.0, "cpu": 12.0, "mixed": 12.0})
    campaign = load_scenario("email-campaign")
    assert scaled(campaign, 1.5).phases[0].count == round(1.5 * (campaign.phases[0].count or 0))
    rate = replace(campaign, phases=(Phase(name="steady", seconds=10.0, rate_per_second=4.0),))
    assert scaled(rate, 1.25).phases[0].rate_per_second == 5.0
