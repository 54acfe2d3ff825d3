"""Counts, and that names made up at run time cannot multiply them."""

from __future__ import annotations

from celery import Celery

from celery_workers import Publisher, Topology
from celery_workers.counters import QueueCounters


def test_counts_are_kept_in_all_and_by_queue() -> None:
    counters = QueueCounters(["io", "cpu"])
    for queue in ("io", "io", "cpu"):
        counters.add("accepted", queue=queue)
    assert counters["accepted"] == 3
    assert {queue: counts["accepted"] for queue, counts in counters.by_queue().items()} == {
        "io": 2,
        "cpu": 1,
        "other": 0,
    }


def test_queues_nobody_declared_count_together() -> None:
    counters = QueueCounters(["io"])
    for number in range(1000):
        counters.add("unroutable", queue=f"made-up-{number}")
    assert set(counters.by_queue()) == {"io", "other"}
    assert counters.by_queue()["other"]["unroutable"] == 1000


def test_a_publisher_knows_the_topologys_queues_else_the_apps() -> None:
    app = Celery(broker="memory://", set_as_current=False)
    app.conf.task_default_queue = "work"
    assert set(Publisher(app).counters.by_queue()) == {"work", "other"}
    topology = Topology(queues=frozenset({"io", "cpu"}))
    assert set(Publisher(app, topology=topology).counters.by_queue()) == {"io", "cpu", "other"}
