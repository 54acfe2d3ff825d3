"""The numbers KEDA serves for queues, and its fallback."""

import pytest

from harness.autoscaling import HpaSpec, fallback_milli, hpa_from_scaled_object, is_active, metric_milli, polled, serve
from harness.autoscaling.serving import metric_value, reading
from tests.unit.autoscaling.builders import once
from tests.unit.autoscaling.keda_builders import Queue, cron, manifest, rabbitmq, resource_trigger, scaled, trigger

BUSY = {"io": Queue(ready=5000, unacked=200, publish_rate=100.0, deliver_rate=40.0)}
STALLED = {"io": Queue(ready=5000, publish_rate=100.0)}
EMPTY = {"io": Queue()}


@pytest.mark.parametrize(
    ("mode", "busy", "stalled", "empty"),
    [
        ("QueueLength", 5_200_000, 5_000_000, 0),
        ("MessageRate", 100_000, 100_000, 0),
        ("DeliverGetRate", 40_000, 0, 0),
        ("PublishedToDeliveredRatio", 2_500, 7_000, 0),  # nothing delivered: the activation value
        ("ExpectedQueueConsumptionTime", 131_500, 7_000, 7_000),  # (100 - 40) / 40 + 5200 / 40
    ],
)
def test_modes(mode, busy, stalled, empty):
    chosen = trigger(mode=mode, activationValue="7")
    assert metric_milli(chosen, BUSY) == busy
    assert metric_milli(chosen, STALLED) == stalled
    assert metric_milli(chosen, EMPTY) == empty


@pytest.mark.parametrize(
    ("mode", "busy", "stalled", "empty"),
    [
        ("QueueLength", True, True, False),
        ("MessageRate", True, True, False),
        ("DeliverGetRate", True, False, False),
        ("PublishedToDeliveredRatio", False, True, False),
        ("ExpectedQueueConsumptionTime", True, True, True),  # nothing delivered always counts as active
    ],
)
def test_activity(mode, busy, stalled, empty):
    chosen = trigger(mode=mode, activationValue="7")
    assert [is_active(chosen, queues) for queues in (BUSY, STALLED, EMPTY)] == [busy, stalled, empty]


def test_activity_is_above_the_activation_value_and_not_at_it():
    chosen = trigger(activationValue="5200")
    assert not is_active(chosen, BUSY)
    assert is_active(trigger(activationValue="5199"), BUSY)


def test_a_rate_is_active_by_its_messages_too():
    assert is_active(trigger(mode="MessageRate"), {"io": Queue(ready=1)})


def test_http_counts_unacknowledged_amqp_does_not():
    assert metric_milli(trigger(), BUSY) == 5_200_000
    assert metric_milli(trigger(protocol="amqp"), BUSY) == 5_000_000
    assert metric_milli(trigger(excludeUnacknowledged="true"), BUSY) == 5_000_000


def test_a_negative_time_is_served_as_nothing():
    """Draining faster than filling with an empty queue: (1 - 4) / 4 is below 0."""
    draining = {"io": Queue(publish_rate=1.0, deliver_rate=4.0)}
    chosen = trigger(mode="ExpectedQueueConsumptionTime")
    assert metric_value(chosen, reading(chosen, draining)) == -0.75
    assert metric_milli(chosen, draining) == 0


def test_a_queue_that_is_not_there_is_an_error():
    assert metric_milli(trigger(), {}) is None
    assert is_active(trigger(), {}) is None


def test_queues_by_pattern():
    queues = {"io": Queue(10), "IO.high": Queue(5, 2, 3.0, 4.0), "cpu": Queue(99)}
    assert metric_milli(trigger(queueName="^io", useRegex="true"), queues) == 17_000
    assert metric_milli(trigger(queueName="^io", useRegex="true", operation="max"), queues) == 10_000
    assert metric_milli(trigger(queueName="^io", useRegex="true", operation="avg"), queues) == 8_000  # 17 // 2
    assert metric_milli(trigger(queueName="nothing", useRegex="true"), queues) == 0


def test_resource_triggers_have_no_value_of_kedas():
    cpu = scaled(rabbitmq(), resource_trigger()).triggers[1]
    assert is_active(cpu, BUSY) is False
    with pytest.raises(ValueError, match="serves no metric for a cpu trigger"):
        metric_milli(cpu, BUSY)


def test_cron_serves_its_replicas_inside_the_window():
    window = scaled(cron(replicas="5")).triggers[0]
    nine, night = 1_789_981_200.0, 1_790_031_600.0  # 2026-09-21, 09:00 and 23:00 UTC
    assert (metric_milli(window, {}, now_seconds=nine), is_active(window, {}, now_seconds=nine)) == (5000, True)
    assert (metric_milli(window, {}, now_seconds=night), is_active(window, {}, now_seconds=night)) == (0, False)
    with pytest.raises(ValueError, match="needs now_seconds"):
        metric_milli(window, {})


FALLBACK = {"failureThreshold": 2, "replicas": 6}


def test_the_fallback_serves_after_more_failures_than_its_threshold():
    made = scaled(rabbitmq(), fallback=FALLBACK)
    failures, answers = 0, []
    for _ in range(4):
        served = serve(made, made.triggers[0], None, failures=failures)
        failures = served.failures
        answers.append(served.milli)
    assert answers == [None, None, 1_200_000, 1_200_000]
    assert serve(made, made.triggers[0], 5000, failures=failures).failures == 0


def test_a_trigger_is_active_while_the_fallback_stands_in():
    made = scaled(rabbitmq(), fallback=FALLBACK)
    failing = [serve(made, made.triggers[0], None, failures=failures) for failures in (0, 1, 2)]
    assert [polled(None, served) for served in failing] == [None, None, True]
    answered = serve(made, made.triggers[0], 5000)
    assert [polled(active, answered) for active in (True, False)] == [True, False]


def test_without_a_fallback_an_error_stays_an_error():
    made = scaled(rabbitmq())
    assert serve(made, made.triggers[0], None, failures=99).milli is None


@pytest.mark.parametrize(
    ("behavior", "current", "replicas"),
    [
        ("static", 9, 6),
        ("currentReplicas", 9, 9),
        ("currentReplicasIfHigher", 9, 9),
        ("currentReplicasIfHigher", 3, 6),
        ("currentReplicasIfLower", 9, 6),
        ("currentReplicasIfLower", 3, 3),
    ],
)
def test_the_fallback_makes_the_hpa_want_its_replicas(behavior, current, replicas):
    document = manifest(rabbitmq(), fallback={**FALLBACK, "behavior": behavior})
    made = scaled(rabbitmq(), fallback={**FALLBACK, "behavior": behavior})
    milli = fallback_milli(made.fallback, made.triggers[0], current_replicas=current, ready_replicas=current)
    spec = HpaSpec.from_manifest(hpa_from_scaled_object(document))
    assert once(spec, replicas=current, values={"s0-rabbitmq-io": (milli,)}).wanted == replicas


def test_the_fallback_of_a_whole_value_divides_by_ready_pods():
    made = scaled(rabbitmq("Value", value="30"), fallback=FALLBACK)
    options = {"current_replicas": 3}
    assert fallback_milli(made.fallback, made.triggers[0], ready_replicas=3, **options) == 60_000
    assert fallback_milli(made.fallback, made.triggers[0], ready_replicas=0, **options) is None
