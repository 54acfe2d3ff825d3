"""The replica calculator on pods, case by case; each expectation is worked out in the comment beside it."""

import pytest

from harness.autoscaling import ControllerConfig, Observation, PodSample, State, decide
from tests.unit.autoscaling.builders import hpa, once, pod, pods_metric, resource

CPU50 = resource(percent=50)


def wants(pods, *, replicas=None, metric=CPU50, **options):
    """Return what the metric asks for, before any limit."""
    decision = once(hpa(metric), replicas=replicas or len(pods), pods=pods, **options)
    return decision.wanted


@pytest.mark.parametrize(
    ("usages", "replicas"),
    [
        ((500, 500), 2),  # 50 % of 50 %
        ((550, 550), 2),  # 1.10 is still within tolerance
        ((560, 560), 3),  # 1.12 x 2 = 2.24
        ((450, 450), 2),  # 0.90 is still within
        ((440, 440), 2),  # 0.88 x 2 = 1.76
        ((200, 200), 1),  # 0.4 x 2 = 0.8
        ((1000, 1000, 1000), 6),  # 2.0 x 3
    ],
)
def test_utilization(usages, replicas):
    assert wants([pod(f"p{i}", cpu) for i, cpu in enumerate(usages)]) == replicas


def test_the_edges_of_the_tolerance_are_within():
    """Ten pods show what two would hide by rounding: 0.9 x 10 = 9 and 1.1 x 10 = 11 are not proposed."""
    assert wants([pod(f"p{i}", 450) for i in range(10)]) == 10
    assert wants([pod(f"p{i}", 440) for i in range(10)]) == 9
    assert wants([pod(f"p{i}", 550) for i in range(10)]) == 10


def test_utilization_is_cut_to_whole_per_cent():
    """1119 of 2000 is 55.95 %, cut to 55: a ratio of 1.10, within tolerance; 56 % would be 1.12 and three pods."""
    assert wants([pod("a", 559), pod("b", 560)]) == 2
    assert wants([pod("a", 560), pod("b", 560)]) == 3


def test_requests_of_different_size_are_summed():
    """(900 + 100) of (1000 + 3000) is 25 %: 0.5 x 2 = 1."""
    assert wants([pod("a", 900), pod("b", 100, request=3000)]) == 1


def test_the_proposal_counts_measured_pods_not_wanted_ones():
    """Three wanted, two there: 1.5 x 2 = 3, not 4.5."""
    assert wants([pod("a", 750), pod("b", 750)], replicas=3) == 3


def test_a_missing_sample_counts_as_nothing_on_the_way_up():
    """100 % of two = 2.0; with the third at 0: 2000 of 3000 = 66 %, 1.32 x 3 = 3.96."""
    assert wants([pod("a", 1000), pod("b", 1000), pod("c")]) == 4


def test_a_missing_sample_counts_as_the_whole_request_on_the_way_down():
    """10 % of two = 0.2; with the third at 100 %: 1200 of 3000 = 40 %, 0.8 x 3 = 2.4."""
    assert wants([pod("a", 100), pod("b", 100), pod("c")]) == 3


def test_a_missing_sample_counts_as_the_target_where_that_is_above_the_request():
    """Target 200 %: 50 % of two is 0.25; the third at 200 %: 3000 of 3000 = 100 %, 0.5 x 3 = 1.5."""
    assert wants([pod("a", 500), pod("b", 500), pod("c")], metric=resource(percent=200)) == 2


def test_missing_samples_never_turn_the_direction_round():
    """20 % of one points down; two missing at 100 % make 73 %, up: stay."""
    assert wants([pod("a", 200), pod("b"), pod("c")]) == 3
    # 60 % of one points up; two missing at 0 make 20 %, down: stay
    assert wants([pod("a", 600), pod("b"), pod("c")]) == 3


def test_filled_in_pods_never_ask_for_a_change_against_the_direction_of_the_load():
    """Ten are wanted, three are there: 1.32 x 3 = 4 would scale down on rising load, 0.8 x 3 = 3 up on falling."""
    assert wants([pod("a", 1000), pod("b", 1000), pod("c")], replicas=10) == 10
    assert wants([pod("a", 100), pod("b", 100), pod("c")], replicas=2) == 2


def test_unready_pods_matter_only_on_the_way_up():
    """All of the request in use is exactly the target: an unready pod beside it does not make that 50 %."""
    metric = resource(percent=100)
    assert wants([pod("a", 1000), pod("b", phase="Pending")], metric=metric) == 2
    # on the way down only the ready ones are multiplied: 0.4 x 2, not 0.4 x 3
    assert wants([pod("a", 200), pod("b", 200), pod("c", phase="Pending")]) == 1


def test_at_exactly_the_target_missing_pods_change_nothing():
    assert wants([pod("a", 500), pod("b")]) == 2


def test_an_unready_pod_counts_as_nothing_on_the_way_up():
    """The unready pod's own sample is dropped: 100 % of one, then 1000 of 2000 = 50 %: within, stay."""
    assert wants([pod("a", 1000), pod("b", 900, phase="Pending")]) == 2


def test_an_unready_pod_does_not_count_on_the_way_down():
    """10 % of one = 0.2 x 1."""
    assert wants([pod("a", 100), pod("b", 900, phase="Pending")]) == 1


def test_failed_and_deleted_pods_are_left_out():
    pods = [pod("a", 1000), pod("b", 0, phase="Failed"), pod("c", 0, deleting=True)]
    assert wants(pods, replicas=1) == 2


def test_a_succeeded_pod_is_measured_like_a_running_one():
    assert wants([pod("a", 1000), pod("b", 1000, phase="Succeeded")]) == 4


NOW = 1000.0


@pytest.mark.parametrize(
    ("why", "trusted", "options"),
    [
        ("started long ago, ready", True, {"start": 900, "ready": True, "changed": 880, "sampled": 5}),
        ("started 299 s ago, unready", False, {"start": 299, "ready": False, "changed": 280, "sampled": 5}),
        ("started 300 s ago, was ready once", True, {"start": 300, "ready": False, "changed": 200, "sampled": 5}),
        ("started 299 s ago, window after ready", True, {"start": 299, "ready": True, "changed": 20, "sampled": 5}),
        ("started 299 s ago, window began early", False, {"start": 299, "ready": True, "changed": 19, "sampled": 5}),
        ("never ready, 29 s after its start", False, {"start": 900, "ready": False, "changed": 871, "sampled": 5}),
        ("unready again, 30 s after its start", True, {"start": 900, "ready": False, "changed": 870, "sampled": 5}),
    ],
)
def test_cpu_of_a_starting_pod_is_not_trusted(why, trusted, options):
    """The pod in question idles; one busy pod beside it shows whether it was counted: 100 % of one against 50 %."""
    young = pod(
        "young",
        0,
        start_time_seconds=NOW - options["start"],
        ready=options["ready"],
        last_transition_seconds=NOW - options["changed"],
        metric_timestamp_seconds=NOW - options["sampled"],
        metric_window_seconds=15.0,
    )
    spec = hpa(resource(percent=20))
    decision = once(spec, replicas=2, pods=[pod("busy", 1000), young], now=NOW)
    # trusted: 50 % of two, 2.5 x 2 = 5. Not trusted: 100 % of one, 5.0, then as unready 50 % of two: 5 as well,
    # but the winning proposal shows the first figure.
    assert decision.wanted == 5
    assert decision.winner.current == (50 if trusted else 100), why


def test_a_pod_without_ready_condition_or_start_is_not_trusted():
    for unknown in ({"ready": None}, {"start_time_seconds": None}):
        decision = once(hpa(CPU50), replicas=2, pods=[pod("a", 100), pod("b", 900, **unknown)])
        assert decision.winner.current == 10


def test_memory_is_trusted_from_the_first_sample():
    metric = resource("memory", percent=50)
    young = PodSample(
        name="a", ready=False, start_time_seconds=999.0, last_transition_seconds=999.0,
        requests_milli={"memory": 1000}, usage_milli={"memory": 1000}, metric_timestamp_seconds=999.0,
    )  # fmt: skip
    assert wants([young], metric=metric) == 2


def test_periods_are_the_controllers_flags():
    young = pod("young", 0, start_time_seconds=NOW - 200, ready=False, last_transition_seconds=NOW - 100)
    controller = ControllerConfig(cpu_initialization_seconds=120)
    decision = once(hpa(CPU50, controller=controller), replicas=2, pods=[pod("busy", 1000), young], now=NOW)
    assert decision.winner.current == 50


@pytest.mark.parametrize(
    ("pods", "error"),
    [
        ([], "the target has no pods"),
        ([pod("a")], "no pod has a sample that counts yet"),
        ([pod("a", 900, phase="Pending")], "no pod has a sample that counts yet"),
        ([pod("a", 900), pod("b", 900, requests_milli={})], "pod b requests no cpu"),
        ([pod("a", 900, request=0)], "no cpu is requested"),
    ],
)
def test_an_unusable_metric_holds(pods, error):
    decision = once(hpa(CPU50), replicas=3, pods=pods)
    assert (decision.desired, decision.wanted) == (3, None)
    assert error in decision.reason


@pytest.mark.parametrize(
    ("usages", "replicas"),
    [
        ((200, 200), 2),
        ((100, 100), 1),
        ((220, 220), 2),  # 1.1 is within
    ],
)
def test_average_value(usages, replicas):
    assert wants([pod(f"p{i}", cpu) for i, cpu in enumerate(usages)], metric=resource(average="200m")) == replicas


def test_average_value_up_and_its_missing_and_unready_pods():
    metric = resource(average="200m")
    assert wants([pod("a", 300), pod("b", 300)], metric=metric) == 3  # 1.5 x 2
    assert wants([pod("a", 600), pod("b")], metric=metric) == 3  # 3.0, then (600 + 0) // 2 = 300: 1.5 x 2
    assert wants([pod("a", 20), pod("b")], metric=metric) == 2  # 0.1, then (20 + 200) // 2 = 110: 0.55 x 2 = 1.1
    assert wants([pod("a", 900), pod("b", 900, phase="Pending")], metric=metric) == 5  # 4.5, then 450: 2.25 x 2


def test_pods_metric_ignores_cpu_rules():
    """A starting pod's own metric counts at once; requests do not matter."""
    young = PodSample(name="a", ready=False, start_time_seconds=999.0, custom_milli={"jobs": 30_000})
    assert wants([young], metric=pods_metric("jobs", average="10")) == 3


def test_several_metrics_the_highest_wins():
    spec = hpa(resource("cpu", percent=50), resource("memory", percent=50))
    pods = [pod("a", requests_milli={"cpu": 1000, "memory": 1000}, usage_milli={"cpu": 600, "memory": 1000})]
    decision = once(spec, replicas=1, pods=pods)
    assert [proposal.replicas for proposal in decision.proposals] == [2, 2]
    pods = [pod("a", requests_milli={"cpu": 1000, "memory": 1000}, usage_milli={"cpu": 600, "memory": 1800})]
    decision = once(spec, replicas=1, pods=pods)
    assert decision.desired == 4
    assert decision.reason == "memory 180 % of request (target 50 %) asks for 4: 1 -> 4"


def test_one_unusable_metric_lets_others_go_up_but_not_down():
    spec = hpa(resource("cpu", percent=50), resource("memory", percent=50))
    assert once(spec, replicas=1, pods=[pod("a", 1000)]).desired == 2
    held = once(spec, replicas=2, pods=[pod("a", 100), pod("b", 100)])
    assert held.desired == 2
    assert held.reason.startswith("not scaling down while a metric is unusable (memory: pod a requests no memory)")


def test_a_sync_that_is_allowed_to_stay_is_remembered_beside_an_unusable_metric():
    """Wanting what there is counts as going on; only wanting fewer stops the sync before it is remembered."""
    spec = hpa(resource("cpu", percent=50), resource("memory", percent=50))
    for cpu, remembered in ((500, 2), (100, 1)):
        observation = Observation(spec_replicas=2, status_replicas=2, pods=(pod("a", cpu), pod("b", cpu)))
        _, state = decide(spec, State(), observation, now_seconds=NOW)
        assert len(state.recommendations) == remembered


def test_a_metric_reported_as_unavailable_is_unusable():
    decision = once(hpa(CPU50), replicas=2, pods=[pod("a", 900)], unavailable=["cpu"])
    assert decision.reason == "cpu: its source does not answer: stays at 2"
