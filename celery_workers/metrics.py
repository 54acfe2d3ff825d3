"""What publishers and circuit breakers count, as Prometheus reads it. Needs the extra `metrics`.

    from prometheus_client import REGISTRY
    REGISTRY.register(PublisherCollector(publisher))
    REGISTRY.register(BreakerCollector(orders_breaker, students_breaker))

The counts are read when Prometheus asks. They are those of one process: in a server that forks (gunicorn, uWSGI, a
prefork pool) each process has its own, and one request for /metrics reaches but one of them. There, expose each process
on a port of its own (`start_http_server(0)` after the fork), or push; prometheus_client's multiprocess directory knows
its own counters only, not collectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from celery_workers.counters import OTHER
from celery_workers.publishing import Publisher

# A name of the counters -> the label `outcome`. There refused_stored is a part of refused; here they are two.
_OUTCOMES = {
    "accepted": "accepted",
    "refused": "full",
    "refused_stored": "stored",
    "unroutable": "unroutable",
    "forbidden": "forbidden",
    "unreachable": "unreachable",
    "unconfirmed": "unconfirmed",
}
_TASKS = {
    "retried": ("celery_workers_publish_retries", "Attempts after a task's first one."),
    "gave_up": ("celery_workers_publish_given_up", "Tasks that ended with an error for the caller."),
    "kept": ("celery_workers_publish_kept", "Tasks that a keeper took instead, such as an outbox."),
}


class PublisherCollector(Collector):
    """Exposes what a publisher has counted.

    `celery_workers_publish_attempts_total{class, queue, outcome}`, and with class and queue `..._retries_total`,
    `..._given_up_total` and `..._kept_total`. `queue` is one of the topology's queues or "other", `class` the worker
    class that consumes it, "other" where no topology says which. Every series is there from the start, with 0, so that
    a rate sees the first refusal.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._counters = publisher.counters
        self._class_of = publisher.topology.class_of

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Return the counts of this moment."""
        by_queue = self._counters.by_queue()
        attempts = CounterMetricFamily(
            "celery_workers_publish_attempts",
            "Attempts to publish a task, by what became of them.",
            labels=("class", "queue", "outcome"),
        )
        for queue, counts in by_queue.items():
            for name, outcome in _OUTCOMES.items():
                count = counts[name] - (counts["refused_stored"] if name == "refused" else 0)
                attempts.add_metric((self._class_of.get(queue, OTHER), queue, outcome), count)
        yield attempts
        for name, (metric, meaning) in _TASKS.items():
            family = CounterMetricFamily(metric, meaning, labels=("class", "queue"))
            for queue, counts in by_queue.items():
                family.add_metric((self._class_of.get(queue, OTHER), queue), counts[name])
            yield family


class Breaker(Protocol):
    """What is needed of a `celery_workers.breaker.CircuitBreaker`."""

    name: str

    @property
    def counters(self) -> Mapping[str, int]:
        """Count by name."""


class BreakerCollector(Collector):
    """Exposes what circuit breakers have counted in this process: `celery_workers_breaker_events_total`.

    Its labels are `breaker` and `event`, a name of the breaker's counters: refused, opened, closed, redis_away.
    """

    def __init__(self, *breakers: Breaker) -> None:
        self._breakers = breakers

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Return the counts of this moment."""
        family = CounterMetricFamily(
            "celery_workers_breaker_events",
            "What circuit breakers saw in this process.",
            labels=("breaker", "event"),
        )
        for breaker in self._breakers:
            for event, count in breaker.counters.items():
                family.add_metric((breaker.name, event), count)
        yield family
