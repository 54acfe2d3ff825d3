"""What is so at the moment Prometheus asks the exporter."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from celery_workers_looks import age_seconds
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from celery_workers_exporter import Watch
    from celery_workers_feeds import Events
    from celery_workers_looks import QueueFacts
    from prometheus_client.core import Metric


class Gauges:
    """Everything that is so at the moment Prometheus asks."""

    def __init__(self, events: Events, watch: Watch) -> None:
        """Ask the two."""
        self.events = events
        self.watch = watch

    def collect(self) -> Iterator[Metric]:
        """Return the gauges."""
        up = self.events.up
        yield gauge("celery_workers_exporter_up", "1 while the exporter reads events.", (), {(): float(up)})
        with self.events.lock:
            workers = self.events.tally.workers(time.monotonic())
        if workers is not None:
            counts = {(name,): float(count) for name, (count, _) in workers.items()}
            active = {(name,): float(active) for name, (_, active) in workers.items()}
            yield gauge("celery_workers_workers", "Workers that send heartbeats.", ("class",), counts)
            yield gauge("celery_workers_tasks_active", "Tasks they have in hand.", ("class",), active)
        classes = self.watch.topology.document["classes"]
        slots = {(name,): float(one["concurrency"]) for name, one in classes.items()}
        yield gauge("celery_workers_worker_concurrency", "Most tasks one worker has in hand.", ("class",), slots)
        yield from queue_gauges(self.watch.topology.document, self.watch.queues, time.time())
        paused = self.watch.paused()
        if paused is not None:
            queues = self.watch.topology.document["queues"]
            rests = {(queue["class"], name): float(name in paused) for name, queue in queues.items()}
            yield gauge("celery_workers_queue_paused", "1 while a queue rests by order.", ("class", "queue"), rests)
        breakers = {(name,): float(open_now) for name, open_now in (self.watch.breakers or {}).items()}
        if breakers:
            yield gauge("celery_workers_breaker_open", "1 while a breaker refuses calls.", ("breaker",), breakers)


def queue_gauges(topology: Mapping[str, Any], facts: Mapping[str, QueueFacts] | None, now: float) -> Iterator[Metric]:
    """Return what is known of the queues: limits as the broker has them, else as the release wants them."""
    limits, ttls, infos, oldest, missing = {}, {}, {}, {}, {}
    for name, queue in topology["queues"].items():
        labels, known = (queue["class"], name), (facts or {}).get(name)
        if known is not None and not known.is_told:
            known = None
        limit = known.limit_messages if known else queue.get("max_length_messages")
        ttl = known.ttl_seconds if known else queue.get("message_ttl_seconds")
        if limit is not None:
            limits[labels] = float(limit)
        if ttl is not None:
            ttls[labels] = float(ttl)
        infos[(*labels, queue.get("dead_letter_queue") or "", str(queue.get("max_priority") or ""))] = 1.0
        if known:
            missing[labels] = float(known.policy_missing)
            if known.oldest_at is not None:
                oldest[labels] = age_seconds(known.oldest_at, now)
            elif not known.ready:
                oldest[labels] = 0.0
    names = ("class", "queue")
    yield gauge("celery_workers_queue_limit_messages", "Most messages that may wait.", names, limits)
    yield gauge("celery_workers_queue_ttl_seconds", "How long a message may wait.", names, ttls)
    yield gauge(
        "celery_workers_queue_info",
        "A queue of the release.",
        (*names, "dead_letter_queue", "max_priority"),
        infos,
    )
    if facts is not None:
        yield queue_counts(topology, facts)
        yield gauge("celery_workers_queue_oldest_seconds", "How long the first message waits.", names, oldest)
        yield gauge("celery_workers_queue_policy_missing", "1 where the release's policy is not.", names, missing)


def queue_counts(topology: Mapping[str, Any], facts: Mapping[str, QueueFacts]) -> CounterMetricFamily:
    """Return what the broker has counted of each queue since it started."""
    family = CounterMetricFamily(
        "celery_workers_queue_messages",
        "Messages by what happened to them in a queue, as the broker counts.",
        labels=("class", "queue", "event"),
    )
    for name, known in facts.items():
        queue = topology["queues"].get(name, {})
        for event, count in known.counts.items():
            family.add_metric((queue.get("class", ""), name, event), count)
    return family


def gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    """Return a gauge with its series."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for own, value in values.items():
        family.add_metric(own, value)
    return family
