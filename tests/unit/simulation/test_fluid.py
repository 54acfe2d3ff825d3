"""The coarse model: against exact answers, invariants, and its compiled form."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.autoscaling import HpaSpec, Observation, ResourceMetric, State, decide
from harness.simulation.fluid_model import REFERENCE, Model, compiled
from harness.simulation.fluid_outcome import Outcome
from harness.simulation.fluid_plant import lay_out, service_points
from harness.simulation.model import Empirical, Exponential, Load, Lognormal, Plant, Publisher, Queue, Scaler
from tests.unit.simulation.fluid_plants import PUBLISHER, load, plant, scaler, task, worker

SECONDS = 1.0


def foretell(given: Plant, offered: Load, *, limit: float = 600.0, step: float = SECONDS, model: Model = REFERENCE,
             **changes: float) -> Outcome:  # fmt: skip
    return model.foretell(given, lay_out(given, offered, step_seconds=step, limit_seconds=limit), **changes)


# --- exact answers -------------------------------------------------------------------------------------------------


def fifo(due: list[float], slots: int, seconds: float) -> list[float]:
    """Each task's time to completion, first come, first served, on slots that are there from the start."""
    free, found = [0.0] * slots, []
    for at in due:
        first = min(range(slots), key=free.__getitem__)
        free[first] = max(at, free[first]) + seconds
        found.append(free[first] - at)
    return found


@pytest.mark.parametrize("seconds", [2.0, 3.5, 12.0])
def test_a_burst_takes_as_long_as_slots_and_service_say(seconds):
    outcome = foretell(plant(worker(slots=100)), load((task(seconds=seconds), [0.0] * 1000)))
    exact = fifo([0.0] * 1000, 100, seconds)
    assert outcome.drain_seconds() == pytest.approx(max(exact), abs=2.0 * SECONDS)
    for percent in (50, 95, 99.9):
        middle = float(np.percentile(exact, percent, method="inverted_cdf"))
        assert outcome.times().percentile(percent) == pytest.approx(middle, abs=2.5 * SECONDS)


@pytest.mark.parametrize("utilisation", [0.5, 0.9, 1.5])
def test_a_steady_stream_waits_as_an_exact_queue_does(utilisation):
    slots, seconds = 50, 4.0
    rate = utilisation * slots / seconds
    due = [number / rate for number in range(int(rate * 300))]
    outcome, exact = foretell(plant(worker(slots=slots)), load((task(seconds=seconds), due))), fifo(due, slots, seconds)
    times = outcome.times()
    for percent in (50, 95, 99.9):
        middle = float(np.percentile(exact, percent, method="inverted_cdf"))
        assert times.percentile(percent) == pytest.approx(middle, abs=1.5 * SECONDS, rel=0.02)
    assert outcome.drain_seconds() == pytest.approx(exact[-1], abs=1.5 * SECONDS, rel=0.02)


@pytest.mark.parametrize("cores", [1.7, 2.9])
def test_tasks_that_compute_nothing_go_on_where_others_take_all_cores(cores):
    """Of these cores rounding leaves less than nothing once the first tasks have their part."""
    pod = worker(pool="prefork", slots=100, cpu_cores=cores)
    parts = ((task("heavy", cpu_seconds=1.0, priority=9), [0.0] * 300), (task("free", seconds=1.0), [0.0] * 50))
    outcome = foretell(plant(pod, queues=[Queue(name="io", priorities=True)]), load(*parts))
    assert outcome.done == pytest.approx(350)


def test_a_full_queue_makes_the_publisher_keep_the_rest():
    limited = plant(worker(), queues=[Queue(name="io", max_length_messages=5000)])
    outcome = foretell(limited, load((task(), [0.0] * 10_000)))
    assert outcome.refused == pytest.approx(5000)
    assert outcome.peak_messages()["io"] == pytest.approx(5000)
    assert (outcome.done, outcome.given_up) == (pytest.approx(10_000), 0.0)
    assert outcome.drain_seconds() == pytest.approx(100.0, abs=SECONDS)


def test_a_queue_that_stores_what_it_refuses_gets_no_second_attempt():
    limited = plant(worker(), queues=[Queue(name="io", max_length_messages=1000, overflow="reject-publish-dlx")])
    outcome = foretell(limited, load((task(), [0.0] * 3000)))
    assert outcome.given_up == pytest.approx(2000)
    assert outcome.done == pytest.approx(1000)


def test_a_publisher_gives_up_at_its_deadline():
    hasty = replace(PUBLISHER, deadline_seconds=20.0)
    limited = plant(worker(), queues=[Queue(name="io", max_length_messages=1000)], publisher=hasty)
    outcome = foretell(limited, load((task(), [0.0] * 10_000)))
    # 20 s at 100 a second, what fits into the queue, and what was in work at first
    assert outcome.done == pytest.approx(10_000 - outcome.given_up)
    assert outcome.done == pytest.approx(3000, abs=300)


def test_what_waits_too_long_expires():
    mortal = plant(worker(), queues=[Queue(name="io", ttl_seconds=10.0)])
    outcome = foretell(mortal, load((task(), [0.0] * 5000)))
    assert outcome.expired == pytest.approx(5000 - outcome.done)
    assert outcome.done == pytest.approx(1200, abs=200)


def test_a_publisher_keeps_its_pace():
    slow = Publisher(deadline_seconds=300.0, attempts_per_second=50.0, hold_seconds=0.5, backoff=PUBLISHER.backoff)
    outcome = foretell(plant(worker(), publisher=slow), load((task(), [0.0] * 1000)))
    assert outcome.drain_seconds() == pytest.approx(22.0, abs=1.5 * SECONDS)
    assert outcome.peak_messages()["io"] == 0.0


def test_the_highest_priority_goes_first():
    urgent, chore = task("login", priority=8), task("chore", priority=1)
    given = plant(worker(slots=10), queues=[Queue(name="io", priorities=True)])
    outcome = foretell(given, load((chore, [0.0] * 100), (urgent, [0.0] * 100)))
    half = outcome.curves.lanes["started"][20]
    assert half[0] == pytest.approx(100)  # ten rounds of two seconds are the urgent ones
    assert half[1] == pytest.approx(0.0)


def test_cores_bound_what_slots_would_allow():
    outcome = foretell(plant(worker(slots=8, cpu_cores=2.0)), load((task(seconds=0.0, cpu_seconds=1.0), [0.0] * 100)))
    assert outcome.drain_seconds() == pytest.approx(50.0, abs=1.5)


def test_a_pod_begins_to_work_when_it_has_started():
    scaled = worker(scaler=scaler(low=1, high=4), start_seconds=10.0, ready_seconds=12.0)
    outcome = foretell(plant(scaled), load((task(), [0.0] * 10_000)), limit=120.0)
    replicas, busy = outcome.replicas()["io"], outcome.curves.pools["busy"][:, 0]
    first = next(second for second, value in zip(replicas.seconds, replicas.values, strict=True) if value == 4.0)
    assert first == pytest.approx(15.0, abs=1.0)  # the first sync that sees the burst
    assert busy[int(first) + 9] == pytest.approx(200.0)
    assert busy[int(first) + 12] == pytest.approx(800.0)
    assert outcome.first_added_ready_seconds() == pytest.approx(first + 12.0)


# --- the autoscaler ------------------------------------------------------------------------------------------------


def test_cpu_moves_replicas_at_syncs_only():
    hpa = replace(scaler(cpu=50, high=9).hpa, metrics=(ResourceMetric("cpu", 50),))
    given = plant(worker(slots=20, scaler=Scaler(hpa=hpa), cpu_request_milli=200, cpu_cores=1.0))
    waves = [float(second) for start in (0, 200, 500) for second in np.linspace(start, start + 60, 2000)]
    outcome = foretell(given, load((task(seconds=1.0, cpu_seconds=0.02), sorted(waves))), limit=1800.0)
    replicas = outcome.curves.pools["replicas"][:, 0]
    changes = np.nonzero(np.diff(replicas))[0] + 1
    assert len(changes) > 6
    assert all((step - outcome.tables.grid[0]["first_sync"]) % 15 == 0 for step in changes)
    assert replicas[-1] == 1  # 20 slots of a second use 0.4 cores: four times the target while there is work


@given(st.lists(st.integers(0, 4000), min_size=5, max_size=60), st.integers(1, 3), st.integers(3, 12))
@settings(max_examples=25, deadline=None)
def test_every_proposal_is_held_as_the_controller_holds_it(depths, low, high):
    """A class that works on nothing, with a depth that changes as it likes, against the readable core."""
    spec = scaler(low=low, high=high, depth=100).hpa
    came = [max(0, after - before) for before, after in zip([0, *depths], depths, strict=False)]
    due = [15.0 * sync + 0.5 for sync, count in enumerate(came) for _ in range(count)]
    idle = worker(scaler=scaler(low=low, high=high, depth=100), slots=0, replicas=low)
    outcome = foretell(plant(idle), load((task(), due or [1.0])), limit=15.0 * len(depths) + 30)
    replicas, state, current = outcome.curves.pools["replicas"][:, 0], State(), low
    first = int(outcome.tables.grid[0]["first_sync"])
    for step in range(first, len(replicas), 15):
        seen = round(outcome.curves.lanes["admitted"][max(step - 5, 0)].sum())
        watched = Observation(
            spec_replicas=current, status_replicas=current, external_milli={spec.metrics[0].name: (seen * 1000,)}
        )
        decision, state = decide(spec, state, watched, now_seconds=float(step))
        current = decision.desired
        assert replicas[step] == current


def test_a_class_without_work_goes_to_zero_and_wakes_up():
    given = plant(worker(scaler=scaler(low=0, high=3)))
    outcome = foretell(given, load((task(), [500.0] * 10)), limit=1200.0)
    replicas = outcome.replicas()["io"]
    assert [replicas.at(second) for second in (10.0, 450.0, 520.0, 1100.0)] == [1.0, 0.0, 1.0, 0.0]
    assert outcome.done == pytest.approx(10)


def test_what_the_coarse_model_does_not_know_is_refused():
    hpa = HpaSpec(name="x", target_kind="Deployment", target_name="celery-io", max_replicas=3,
                  metrics=(ResourceMetric("cpu", None, 500),))  # fmt: skip
    with pytest.raises(ValueError, match="celery-io: the coarse model knows no metric such as cpu"):
        foretell(plant(worker(scaler=Scaler(hpa=hpa))), load((task(), [0.0])))
    with pytest.raises(ValueError, match="does not divide"):
        foretell(plant(worker()), load((task(), [0.0])), step=4.0)


# --- invariants ----------------------------------------------------------------------------------------------------


@st.composite
def cases(draw):
    """A plant of two classes and three queues, and a load of tasks anywhere in two minutes."""
    limits = st.none() | st.integers(10, 500)
    overflows = st.sampled_from(["reject-publish", "reject-publish-dlx"])
    ttls = st.none() | st.floats(5, 60)
    queues = [
        Queue(name=name, max_length_messages=draw(limits), overflow=draw(overflows), ttl_seconds=draw(ttls),
              priorities=draw(st.booleans()))
        for name in ("io", "bulk", "cpu")
    ]  # fmt: skip
    io = worker("io", queues=("io", "bulk"), slots=draw(st.integers(1, 50)), cpu_request_milli=200,
                scaler=draw(st.none() | st.just(scaler(depth=draw(st.integers(5, 100)), latency=20, cpu=50))),
                start_seconds=draw(st.floats(0, 20)), ready_seconds=draw(st.floats(0, 20)))  # fmt: skip
    cpu = worker(
        "cpu",
        pool="prefork",
        slots=4,
        cpu_cores=2.0,
        scaler=scaler("cpu", low=draw(st.integers(0, 2)), high=4, depth=8),
    )
    service = draw(st.sampled_from([None, Lognormal(3.0, 1.0), Empirical((0.5, 1.0, 8.0))]))
    parts = []
    for name in ("io", "bulk", "cpu"):
        for priority in (1, 7):
            due = draw(st.lists(st.floats(0, 120), max_size=20))
            one = task(f"{name}-{priority}", queue=name, seconds=draw(st.floats(0.01, 30)), priority=priority,
                       cpu_seconds=draw(st.floats(0, 0.5)))  # fmt: skip
            parts.append((replace(one, service=service) if service else one, sorted(due) * draw(st.integers(1, 20))))
    publisher = replace(
        PUBLISHER, attempts_per_second=draw(st.floats(1, 1000)), deadline_seconds=draw(st.floats(5, 200))
    )
    return plant(io, cpu, queues=queues, publisher=publisher), load(*parts)


@pytest.mark.full
@given(cases(), st.sampled_from([0.5, 1.0, 5.0, 15.0]))
@settings(max_examples=40, deadline=None)
def test_nothing_is_lost_and_no_bound_is_broken(case, step):
    given, offered = case
    outcome = foretell(given, offered, step=step, limit=300.0)
    flow, end = outcome.curves.lanes, outcome.end
    for name in flow.dtype.names:
        assert (np.diff(flow[name], axis=0) >= -1e-9).all(), name
    assert (flow["offered"] + 1e-6 >= flow["admitted"]).all()
    assert (flow["admitted"] + 1e-6 >= flow["started"] + flow["expired"]).all()
    assert (flow["started"] + 1e-6 >= flow["done"]).all()
    assert outcome.undone > -1e-6
    assert outcome.done + outcome.given_up + outcome.expired + outcome.undone == pytest.approx(len(offered.due_seconds))
    limits = [math.inf if q.max_length_messages is None else q.max_length_messages for q in given.queues]
    assert (outcome.curves.queues["waiting"] <= np.array(limits) + 1e-6).all()
    pods = outcome.curves.pools
    for c, one in enumerate(given.classes):
        assert (pods["ready"][:end, c] <= pods["replicas"][:end, c]).all()
        most = one.scaler.hpa.max_replicas if one.scaler else one.replicas
        assert pods["replicas"][:end, c].max() <= most
        assert outcome.pod_seconds()[one.name] == pytest.approx(outcome.replicas()[one.name].integral())


@given(cases(), st.sampled_from([1.0, 5.0, 15.0]))
@settings(max_examples=25, deadline=None)
def test_the_compiled_form_gives_what_the_plain_one_gives(case, step):
    given, offered = case
    plain, fast = (foretell(given, offered, step=step, limit=300.0, model=model) for model in (REFERENCE, compiled()))
    assert plain.end == fast.end
    for one, other in zip(plain.curves, fast.curves, strict=True):
        for name in one.dtype.names:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-9, atol=1e-9)
    for percent in (50, 99.9):
        assert plain.times().percentile(percent) == pytest.approx(fast.times().percentile(percent))


@pytest.mark.parametrize(
    "service", [Lognormal(3.0, 1.5), Exponential(3.0), Empirical(tuple(float(n) for n in range(1, 101)))]
)
def test_the_points_of_a_service_time_have_its_mean(service):
    points = service_points(service)
    mean = 50.5 if isinstance(service, Empirical) else service.mean_seconds
    assert sum(share for _, share in points) == pytest.approx(1.0)
    assert sum(seconds * share for seconds, share in points) == pytest.approx(mean)
