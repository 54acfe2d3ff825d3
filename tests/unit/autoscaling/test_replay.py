"""Recorded observations read back and replayed."""

import json

import pytest

from harness.autoscaling import PodSample
from harness.autoscaling.replay import Replay, at_syncs, read_observation, replay
from tests.unit.autoscaling.builders import external, hpa, resource, rules

LINE = """{"t": 15, "replicas": {"spec": 2, "status": 1},
 "pods": [{"name": "io-1", "phase": "Running", "startTime": 2, "ready": true, "lastTransition": 9.5,
           "requests": {"cpu": "200m", "memory": "1Gi"}, "usage": {"cpu": "123m", "memory": null},
           "timestamp": 14, "window": 15}],
 "external": {"s0-rabbitmq-io": ["5200", "0.5"]}, "unavailable": ["memory"]}"""


def test_reads_one_line():
    t, seen = read_observation(json.loads(LINE))
    assert t == 15.0
    assert (seen.spec_replicas, seen.status_replicas) == (2, 1)
    assert seen.external_milli == {"s0-rabbitmq-io": (5_200_000, 500)}
    assert seen.unavailable == {"memory"}
    assert seen.pods == (
        PodSample(
            name="io-1",
            ready=True,
            start_time_seconds=2.0,
            last_transition_seconds=9.5,
            requests_milli={"cpu": 200, "memory": 2**30 * 1000},
            usage_milli={"cpu": 123, "memory": None},
            metric_timestamp_seconds=14.0,
            metric_window_seconds=15.0,
        ),
    )


def queue(t, messages, replicas):
    return {"t": t, "replicas": {"spec": replicas, "status": replicas}, "external": {"q": [str(messages)]}}


def test_replays_with_memory():
    spec = hpa(external(average="200"), behavior={"scaleUp": rules(("Pods", 3, 60))}, maximum=10)
    documents = [queue(0, 5200, 1), queue(15, 5200, 4), queue(60, 5200, 4)]
    assert [(t, decision.desired) for t, decision in replay(spec, documents)] == [(0, 4), (15, 4), (60, 7)]


def test_a_replay_may_show_replicas_that_were_not_obeyed():
    spec = hpa(external(average="200"), behavior={}, maximum=10)
    assert [decision.desired for _, decision in replay(spec, [queue(0, 5200, 1), queue(15, 5200, 1)])] == [5, 5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t": None}, "observation 1: t is missing"),
        ({"t": "now"}, "observation 1: t is 'now'"),
        ({"replicas": None}, "observation 1: replicas is missing"),
        ({"replicas": {"spec": -1, "status": 0}}, "replicas.spec is -1"),
        ({"pods": [{"name": "a", "phase": "Gone"}]}, r"pods\[0\].phase is 'Gone'"),
        ({"pods": [{"name": "a", "ready": "yes"}]}, r"pods\[0\].ready is 'yes'"),
        ({"pods": [{"phase": "Running"}]}, r"pods\[0\].name is missing"),
        (
            {"pods": [{"name": "a", "usage": {"cpu": "fast"}}]},
            r"pods\[0\].usage.cpu: not a Kubernetes quantity: 'fast'",
        ),
        ({"external": {"q": "5"}}, "external.q must be a list"),
        ({"external": {"q": ["5", "many"]}}, r"external.q\[1\]: not a Kubernetes quantity: 'many'"),
        ({"external": {"q": [None]}}, r"external.q\[0\]: not a Kubernetes quantity: None"),
        ({"unavailable": [["q"]]}, r"unavailable\[0\] must be a text"),
        ({"t": float("inf")}, "t is inf, must be a number of seconds"),
        ({"t": 10**400}, "must be a number of seconds"),
    ],
)
def test_refuses_naming_observation_and_key(change, message):
    document = {**queue(0, 1, 1), **change}
    with pytest.raises(ValueError, match=message):
        list(replay(hpa(external(average="200")), [document]))


def test_refuses_time_that_goes_back():
    with pytest.raises(ValueError, match="observation 2: t is 15, before the one above it, 30"):
        list(replay(hpa(resource(percent=50)), [queue(30, 1, 1), queue(15, 1, 1)]))


def seen_at(*times):
    return [(index, {"t": t}) for index, t in enumerate(times)]


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ([0, 15, 30], [0, 15, 30]),
        (range(47), [0, 15, 30, 45]),
        ([5, 19.9, 20.1, 34.95, 50], [5, 19.9, 34.95, 50]),  # a little early is no reason to wait for the next
        ([0, 14, 16, 31, 44, 46], [0, 16, 31, 46]),  # late ones do not shift the others
        ([0, 100, 101, 104, 105, 106], [0, 100, 105]),  # nothing was seen for long
    ],
)
def test_of_many_observations_those_at_the_syncs_are_chosen(times, chosen):
    assert [document["t"] for _, document in at_syncs(seen_at(*times), period_seconds=15)] == list(chosen)


def test_an_observation_without_a_time_is_left_to_its_reader():
    documents = [(1, {"t": 0}), (2, "nonsense"), (3, {"t": "now"}), (4, {"t": 1})]
    assert [label for label, _ in at_syncs(documents, period_seconds=15)] == [1, 2, 3]


def test_a_replay_goes_on_by_another_autoscaler_and_forgets_on_demand():
    fast, slow = (hpa(external(average="200"), behavior={"scaleUp": rules(("Pods", n, 60))}) for n in (3, 1))
    going = Replay(fast)
    assert going.sync(queue(0, 5200, 1), path="a")[1].desired == 4
    going.spec = slow
    assert going.sync(queue(15, 5200, 4), path="b")[1].desired == 4
    going.forget()
    assert going.sync(queue(30, 5200, 4), path="c")[1].desired == 5
