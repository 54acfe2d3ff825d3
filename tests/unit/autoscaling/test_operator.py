"""What KEDA serves between two pollings, and what it remembers."""

from harness.autoscaling import Operator
from tests.unit.autoscaling.keda_builders import Queue, rabbitmq, scaled

CACHED = {**rabbitmq(), "useCachedMetrics": True}
DIRECT = rabbitmq(queueName="other")
FULL, EMPTY = {"io": Queue(5000), "other": Queue(7)}, {"io": Queue(), "other": Queue()}
IO, OTHER = "s0-rabbitmq-io", "s1-rabbitmq-other"


def poll(operator, queues, *, replicas=3, at=0.0):
    return operator.poll(current_replicas=replicas, ready_replicas=replicas, queues=queues, now_seconds=at)


def asked(operator, queues, *, replicas=3, at=15.0):
    return operator.metrics(current_replicas=replicas, ready_replicas=replicas, queues=queues, now_seconds=at)


def operator(*triggers, **spec):
    return Operator(scaled(*triggers, **spec), created_seconds=0.0)


def test_a_cached_metric_is_the_last_pollings_and_others_are_read_anew():
    keda = operator(CACHED, DIRECT)
    assert asked(keda, FULL) == {IO: 5_000_000, OTHER: 7_000}  # nothing was polled yet
    poll(keda, FULL)
    assert asked(keda, EMPTY) == {IO: 5_000_000, OTHER: 0}
    poll(keda, EMPTY, at=30.0)
    assert asked(keda, FULL, at=45.0) == {IO: 0, OTHER: 7_000}


def test_an_error_has_keda_forget_what_it_kept():
    keda = operator(CACHED, DIRECT)
    poll(keda, FULL)
    assert asked(keda, None) == {IO: 5_000_000, OTHER: None}
    assert asked(keda, EMPTY) == {IO: 0, OTHER: 0}


def test_a_polling_that_failed_is_served_as_an_error_though_the_broker_answers_again():
    keda = operator(CACHED)
    poll(keda, None)
    assert asked(keda, FULL) == {IO: None}
    assert asked(keda, FULL) == {IO: 5_000_000}


def test_a_fallback_that_was_kept_has_the_replicas_of_its_polling_and_begins_the_count_anew():
    keda = operator(CACHED, fallback={"failureThreshold": 1, "replicas": 6, "behavior": "currentReplicas"})
    poll(keda, None)
    assert asked(keda, None) == {IO: 600_000}  # the second failure; an error is not kept as an answer
    poll(keda, None, replicas=4, at=30.0)
    assert asked(keda, None, replicas=9, at=45.0) == {IO: 800_000}
    poll(keda, None, at=60.0)
    assert asked(keda, FULL, at=75.0) == {IO: 600_000}
    assert asked(keda, FULL, at=76.0) == {IO: 600_000}


def test_failures_go_on_being_counted_when_the_object_is_changed():
    keda = operator(CACHED, fallback={"failureThreshold": 1, "replicas": 6})
    poll(keda, FULL)
    assert asked(keda, EMPTY) == {IO: 5_000_000}
    keda.change(scaled(CACHED, fallback={"failureThreshold": 1, "replicas": 2}))
    assert asked(keda, None) == {IO: None}
    keda.change(scaled(CACHED, fallback={"failureThreshold": 1, "replicas": 3}))
    assert asked(keda, None) == {IO: 600_000}
