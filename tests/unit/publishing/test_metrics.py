"""A publisher's counters in Prometheus' own text."""

from __future__ import annotations

from dataclasses import dataclass

from celery import Celery
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from celery_workers import Counters, Publisher, Topology
from celery_workers.metrics import BreakerCollector, PublisherCollector

ATTEMPTS = "celery_workers_publish_attempts_total"
IO = {"class": "waiting", "queue": "io"}


@dataclass
class Breaker:
    """What a collector reads of one."""

    name: str
    counters: Counters


def scraped() -> tuple[Publisher, CollectorRegistry]:
    """A publisher that knows one queue, and a registry that asks it."""
    topology = Topology.from_document({"queues": {"io": {"class": "waiting"}}})
    publisher = Publisher(Celery(broker="memory://", set_as_current=False), topology=topology)
    registry = CollectorRegistry()
    registry.register(PublisherCollector(publisher))
    return publisher, registry


def test_an_attempt_is_counted_by_class_queue_and_outcome() -> None:
    publisher, registry = scraped()
    publisher.attempt("t", queue="io")
    publisher.attempt("t", queue="one that nobody declared")
    assert registry.get_sample_value(ATTEMPTS, {**IO, "outcome": "accepted"}) == 1
    assert registry.get_sample_value(ATTEMPTS, {"class": "other", "queue": "other", "outcome": "accepted"}) == 1


def test_a_refused_task_that_was_stored_counts_once() -> None:
    publisher, registry = scraped()
    for name in ("refused", "refused", "refused_stored"):
        publisher.counters.add(name, queue="io")
    assert registry.get_sample_value(ATTEMPTS, {**IO, "outcome": "full"}) == 1
    assert registry.get_sample_value(ATTEMPTS, {**IO, "outcome": "stored"}) == 1


def test_what_happened_to_tasks_is_counted_too() -> None:
    publisher, registry = scraped()
    for name in ("retried", "gave_up", "kept"):
        publisher.counters.add(name, queue="io")
    for metric in ("retries", "given_up", "kept"):
        assert registry.get_sample_value(f"celery_workers_publish_{metric}_total", IO) == 1


def test_every_series_is_there_from_the_start_and_none_is_added_later() -> None:
    publisher, registry = scraped()
    before = {line.split(" ")[0] for line in generate_latest(registry).decode().splitlines() if line[0] != "#"}
    for number in range(100):
        publisher.attempt("t", queue=f"made-up-{number}")
    text = generate_latest(registry).decode()
    assert {line.split(" ")[0] for line in text.splitlines() if line[0] != "#"} == before
    assert {family.type for family in text_string_to_metric_families(text)} == {"counter"}


def test_a_breakers_events_are_counted_by_its_name() -> None:
    breakers = [Breaker(name, Counters(("refused", "opened"))) for name in ("orders-db", "students-db")]
    breakers[0].counters.add("opened")
    registry = CollectorRegistry()
    registry.register(BreakerCollector(*breakers))
    events = "celery_workers_breaker_events_total"
    assert registry.get_sample_value(events, {"breaker": "orders-db", "event": "opened"}) == 1
    assert registry.get_sample_value(events, {"breaker": "students-db", "event": "opened"}) == 0
