"""What holds for every autoscaler and every load."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.autoscaling import (
    Behavior,
    ControllerConfig,
    ExternalMetric,
    HpaSpec,
    Observation,
    Policy,
    ResourceMetric,
    ScalingRules,
    State,
    decide,
)
from tests.unit.autoscaling.builders import SYNC_SECONDS, pod

TARGET_MILLI = 10_000

policies = st.builds(
    Policy,
    kind=st.sampled_from(["Pods", "Percent"]),
    value=st.integers(1, 150),
    period_seconds=st.sampled_from([1, 15, 30, 60, 90, 600]),
)
rules = st.builds(
    ScalingRules,
    stabilization_window_seconds=st.sampled_from([0, 15, 60, 300]),
    select=st.sampled_from(["Max", "Min", "Disabled"]),
    policies=st.lists(policies, min_size=1, max_size=3).map(tuple),
)
specs = st.builds(
    lambda low, more, behavior, tolerance: HpaSpec(
        name="hpa",
        target_kind="Deployment",
        target_name="target",
        min_replicas=low,
        max_replicas=low + more,
        metrics=(ExternalMetric("q", TARGET_MILLI),),
        behavior=behavior,
        controller=ControllerConfig(tolerance=tolerance),
    ),
    st.integers(0, 5),
    st.integers(1, 200),
    st.none() | st.builds(Behavior, rules, rules),
    st.sampled_from([0.0, 0.1, 0.3]),
)
loads = st.lists(st.integers(0, 3000), min_size=1, max_size=40)


def run(spec: HpaSpec, messages: list[int], *, replicas: int = 1):
    """Yield (now, decision, state) of one sync after the other; the scale obeys."""
    state = State()
    for index, count in enumerate(messages):
        seen = Observation(
            spec_replicas=replicas, status_replicas=replicas, external_milli={"q": (count * TARGET_MILLI // 10,)}
        )
        decision, state = decide(spec, state, seen, now_seconds=index * SYNC_SECONDS)
        yield index * SYNC_SECONDS, decision, state
        replicas = decision.desired


@given(specs, loads, st.integers(1, 300))
def test_bounds_are_kept_from_the_second_sync(spec, messages, replicas):
    for _, decision, _ in run(spec, messages, replicas=replicas):
        if decision.current != 0 or spec.min_replicas == 0:
            assert spec.min_replicas <= decision.desired <= spec.max_replicas


@given(specs, loads)
def test_deciding_twice_gives_the_same(spec, messages):
    assert [step[1:] for step in run(spec, messages)] == [step[1:] for step in run(spec, messages)]


@given(specs, st.integers(1, 200))
def test_a_load_that_fits_changes_nothing_ever(spec, replicas):
    replicas = max(min(replicas, spec.max_replicas), spec.min_replicas)
    decisions = [decision for _, decision, _ in run(spec, [replicas * 10] * 30, replicas=replicas)]
    assert all(not decision.changed for decision in decisions)


@given(specs, loads)
def test_a_change_goes_the_way_the_window_wants(spec, messages):
    """Never lower than the highest proposal of the down window, unless that is above the maximum; nor the other way."""
    wanted: list[tuple[float, int]] = []
    for now, decision, _ in run(spec, messages):
        if decision.wanted is None:
            continue
        wanted.append((now, decision.wanted))
        if spec.behavior is None:
            continue
        down, up = spec.behavior.scale_down, spec.behavior.scale_up
        recent = [count for at, count in wanted if at > now - down.stabilization_window_seconds or at == now]
        if decision.desired < decision.current:
            assert decision.desired >= min(max(recent), spec.max_replicas)
        recent = [count for at, count in wanted if at > now - up.stabilization_window_seconds or at == now]
        if decision.desired > decision.current:
            assert decision.desired <= max(min(recent), spec.min_replicas)


@given(
    st.integers(1, 20),
    st.sampled_from([15, 30, 60, 90, 600]),
    st.sampled_from(["up", "down"]),
    st.lists(st.sampled_from([0, 3000]), min_size=1, max_size=80),
)
def test_a_rate_in_pods_holds_over_any_window(value, period, direction, messages):
    """With one Pods policy no window of its period sees a net change of more; the other direction stands still.

    (With both directions moving, the controller itself forgets events: see the scale-event test in test_behavior.)
    """
    moving = ScalingRules(stabilization_window_seconds=0, select="Max", policies=(Policy("Pods", value, period),))
    still = replace(moving, select="Disabled")
    behavior = Behavior(moving, still) if direction == "up" else Behavior(still, moving)
    spec = HpaSpec(
        name="hpa", target_kind="Deployment", target_name="target", max_replicas=300,
        metrics=(ExternalMetric("q", TARGET_MILLI),), behavior=behavior,
    )  # fmt: skip
    start = 1 if direction == "up" else 300
    changes = [(now, abs(d.desired - d.current)) for now, d, _ in run(spec, messages, replicas=start)]
    for now, _ in changes:
        assert sum(change for at, change in changes if now - period < at <= now) <= value


@given(specs, st.integers(0, 3000), st.integers(0, 3000), st.integers(1, 200), loads)
def test_more_load_never_means_fewer_replicas(spec, one, other, replicas, before):
    """From the same past and the same replicas, the heavier of two loads gets at least as many."""
    *_, (now, decision, state) = run(spec, before, replicas=replicas)
    low, high = sorted((one, other))
    counts = []
    for messages in (low, high):
        seen = Observation(
            spec_replicas=decision.desired, status_replicas=decision.desired,
            external_milli={"q": (messages * TARGET_MILLI // 10,)},
        )  # fmt: skip
        counts.append(decide(spec, state, seen, now_seconds=now + SYNC_SECONDS)[0].desired)
    assert counts[0] <= counts[1]


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=12), st.integers(1, 200), st.randoms(use_true_random=False))
def test_the_order_of_pods_does_not_matter(usages, percent, rng):
    spec = HpaSpec(
        name="hpa", target_kind="Deployment", target_name="target", max_replicas=500,
        metrics=(ResourceMetric("cpu", percent),),
    )  # fmt: skip
    pods = [pod(f"p{i}", cpu, phase="Pending" if cpu % 7 == 0 else "Running") for i, cpu in enumerate(usages)]
    shuffled = list(pods)
    rng.shuffle(shuffled)
    seen = [Observation(spec_replicas=3, status_replicas=3, pods=tuple(group)) for group in (pods, shuffled)]
    first, second = (decide(spec, State(), observation, now_seconds=1000.0)[0] for observation in seen)
    assert (first.desired, first.wanted) == (second.desired, second.wanted)


@given(specs, loads)
@settings(max_examples=50)
def test_the_memory_does_not_grow_with_time(spec, messages):
    *_, (_, _, state) = run(spec, messages * 10)
    longest = 900 if spec.behavior is None else 600
    assert len(state.recommendations) <= longest / SYNC_SECONDS + 2
    assert len(state.scale_up_events) + len(state.scale_down_events) <= 2 * (600 / SYNC_SECONDS + 2)
