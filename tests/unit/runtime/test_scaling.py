"""What an autoscaler of the local runtime sees and decides, by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.autoscaling import ControllerConfig, PodSample, parse_milli
from harness.autoscaling.replay import read_observation
from harness.broker.stats import QueueStats
from harness.errors import InputError
from harness.runtime.local.control import next_time
from harness.runtime.local.journal import sync_line
from harness.runtime.local.scaling import Autoscaler, Sight, look
from tests.local.runtime_manifests import hpa, scaled_object

NOW = 1_000.0


def scaler(manifest: dict[str, Any]) -> Autoscaler:
    return Autoscaler(manifest, controller=ControllerConfig(), now=0.0)


def pod(name: str, *, cpu_milli: int | None, deleting: bool = False) -> PodSample:
    return PodSample(
        name=name,
        start_time_seconds=0.0,
        last_transition_seconds=5.0,
        requests_milli={"cpu": 200, "memory": parse_milli("2Gi")},
        usage_milli={} if cpu_milli is None else {"cpu": cpu_milli, "memory": parse_milli("62Mi")},
        metric_timestamp_seconds=NOW - 7.5,
        metric_window_seconds=15.0,
        deleting=deleting,
    )


def queues(ready: int, unacked: int = 0) -> dict[str, QueueStats]:
    return {"io": QueueStats("io", ready, unacked, 1, 0.0, 0.0, 0.0)}


def test_cpu_against_the_request() -> None:
    autoscaler = scaler(hpa(maximum=9, cpu_percent=50))
    seen = autoscaler.observe([pod("a", cpu_milli=150), pod("b", cpu_milli=150)], desired=2, queues={}, now_seconds=NOW)
    decision = autoscaler.sync(seen, now_seconds=NOW)  # 75 % of 50 %: 1.5 x 2 pods
    assert (decision.current, decision.desired) == (2, 3)


def test_depth_counts_unacked_and_pods_that_stop_are_no_replicas() -> None:
    autoscaler = scaler(scaled_object(value=200))
    pods = [pod("a", cpu_milli=1), pod("b", cpu_milli=1, deleting=True)]
    seen = autoscaler.observe(pods, desired=1, queues=queues(300, 200), now_seconds=NOW)
    assert (seen.status_replicas, dict(seen.external_milli)) == (1, {"s0-rabbitmq-io": (500_000,)})
    assert autoscaler.sync(seen, now_seconds=NOW).desired == 3


def test_no_answer_and_no_such_queue_are_failed_metrics() -> None:
    autoscaler = scaler(scaled_object())
    for seen_queues in (None, dict[str, QueueStats]()):
        seen = autoscaler.observe([pod("a", cpu_milli=1)], desired=4, queues=seen_queues, now_seconds=NOW)
        assert seen.unavailable == {"s0-rabbitmq-io"}
        assert autoscaler.sync(seen, now_seconds=NOW).desired == 4


def test_keda_polls_between_zero_and_one() -> None:
    autoscaler = scaler(scaled_object(minimum=0))
    assert autoscaler.minimum == 0
    assert autoscaler.poll(desired=0, ready=0, queues=queues(0), now_seconds=10.0).replicas is None
    assert autoscaler.poll(desired=0, ready=0, queues=queues(1), now_seconds=20.0).replicas == 1
    assert autoscaler.poll(desired=1, ready=1, queues=queues(0), now_seconds=20.5).replicas is None  # cooling down
    assert autoscaler.poll(desired=1, ready=1, queues=queues(0), now_seconds=30.0).replicas == 0
    assert autoscaler.poll(desired=1, ready=1, queues=None, now_seconds=40.0).replicas is None


def test_what_kedas_own_metrics_say_of_a_trigger() -> None:
    autoscaler, pods = scaler(scaled_object(value=200)), [pod("a", cpu_milli=1)]

    def told() -> tuple[float | None, bool | None, int]:
        [one] = autoscaler.told
        return one.value, one.active, one.errors

    assert told() == (None, None, 0)
    autoscaler.observe(pods, desired=1, queues=queues(300), now_seconds=NOW)
    assert told() == (300, None, 0)
    autoscaler.poll(desired=1, ready=1, queues=queues(0), now_seconds=NOW)
    assert told() == (0, False, 0)
    autoscaler.poll(desired=1, ready=1, queues=None, now_seconds=NOW)
    autoscaler.observe(pods, desired=1, queues={}, now_seconds=NOW)
    assert told() == (0, False, 2)


def test_a_fallback_takes_the_place_of_a_metric_that_failed_too_often() -> None:
    manifest = scaled_object(value=200)
    manifest["spec"]["fallback"] = {"failureThreshold": 1, "replicas": 3}
    autoscaler = scaler(manifest)
    pods = [pod("a", cpu_milli=1)]
    assert autoscaler.observe(pods, desired=1, queues=None, now_seconds=NOW).unavailable == {"s0-rabbitmq-io"}
    assert autoscaler.observe(pods, desired=1, queues=None, now_seconds=NOW).external_milli == {
        "s0-rabbitmq-io": (600_000,)
    }


def test_a_manifest_the_api_server_would_refuse_is_refused() -> None:
    with pytest.raises(InputError, match=r"HorizontalPodAutoscaler web: .*maxReplicas"):
        scaler(hpa(minimum=5, maximum=3))
    with pytest.raises(InputError, match=r"ScaledObject web: .*maxReplicaCount"):
        scaler(scaled_object(minimum=5, maximum=3))


def test_a_source_that_raises_is_a_sight_with_a_problem() -> None:
    def broken() -> dict[str, QueueStats]:
        raise TimeoutError("slow")

    assert look(broken) == Sight(None, "TimeoutError: slow")
    assert look(dict) == Sight({})


def test_the_journal_s_line_can_be_replayed() -> None:
    autoscaler = scaler(scaled_object())
    pods = [pod("a", cpu_milli=123), pod("b", cpu_milli=None), pod("c", cpu_milli=1, deleting=True)]
    seen = autoscaler.observe(pods, desired=2, queues=queues(5200), now_seconds=NOW)
    line = sync_line("web", seen, autoscaler.sync(seen, now_seconds=NOW), now=NOW)
    assert line["replicas"] == {"spec": 2, "status": 2}
    assert line["external"] == {"s0-rabbitmq-io": ["5200"]}
    assert [(each["name"], each["deleting"]) for each in line["pods"]] == [("a", False), ("b", False), ("c", True)]
    assert line["pods"][0] == {
        "name": "a",
        "phase": "Running",
        "startTime": 0.0,
        "ready": True,
        "lastTransition": 5.0,
        "requests": {"cpu": "200m", "memory": "2147483648"},
        "usage": {"cpu": "123m", "memory": "65011712"},
        "timestamp": NOW - 7.5,
        "window": 15.0,
        "deleting": False,
    }
    assert line["pods"][1]["usage"] == {"cpu": None, "memory": None}
    assert line["desired"] == 5
    assert "s0-rabbitmq-io" in line["reason"]
    t, again = read_observation(json.loads(json.dumps(line)))
    assert t == NOW
    assert scaler(scaled_object()).sync(again, now_seconds=t) == scaler(scaled_object()).sync(seen, now_seconds=NOW)


@pytest.mark.parametrize(("now", "expected"), [(100.0, 115.0), (114.9, 115.0), (115.0, 130.0), (171.0, 175.0)])
def test_a_missed_time_is_not_made_up_for_and_the_beat_is_kept(now: float, expected: float) -> None:
    assert next_time(100.0, 15.0, now) == expected
