"""What the exporter makes of events and of what it looks at."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from benchmarks import workers

FILES = workers.CHART_FILES


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    monkeypatch.syspath_prepend(str(FILES))
    return {name: importlib.import_module(f"celery_workers_{name}") for name in ("tally", "looks")}


class Counted:
    """A tally and what Prometheus would read of it."""

    def __init__(self, module: ModuleType, topology: workers.Topology) -> None:
        self.registry = CollectorRegistry()
        self.tally = module.Tally(topology, (1.0, 60.0), self.registry)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def end(self, **fields: Any) -> None:
        event = {
            "type": "task-succeeded",
            "hostname": "io@pod",
            "uuid": "u",
            "timestamp": 110.0,
            "outcome": "succeeded",
            "name": "mail",
            "queue": "io",
            "published": 100,
            "runtime": 2.0,
        }
        self.tally.event({**event, **fields}, 0.0)


@pytest.fixture
def counted(files: dict[str, ModuleType], topology: workers.Topology) -> Counted:
    return Counted(files["tally"], topology)


def beat(hostname: str, **fields: int) -> dict[str, Any]:
    return {"type": "worker-heartbeat", "hostname": hostname, "active": 1, "processed": 0, **fields}


def test_an_end_counts_once_with_all_outcomes_there(counted: Counted) -> None:
    counted.end()
    counted.end(outcome=None, type="task-failed")  # Celery's second word on the same ending
    labels = {"class": "io", "queue": "io", "task": "mail"}
    values = [
        counted.value("celery_workers_tasks_total", **labels, outcome=outcome)
        for outcome in ("succeeded", "failed", "retried", "rejected", "revoked")
    ]
    assert values == [1, 0, 0, 0, 0]
    assert counted.value("celery_workers_task_latency_seconds_sum", **{"class": "io"}, queue="io") == 9.5
    assert counted.value("celery_workers_task_run_seconds_sum", **labels) == 2.0
    assert counted.value("celery_workers_events_total") == 2


def test_who_is_not_of_the_release_does_not_count(counted: Counted) -> None:
    counted.end(hostname="celery@elsewhere")
    counted.end(queue="somebody-elses")
    found = {
        (sample.labels["class"], sample.labels["queue"])
        for family in counted.registry.collect()
        for sample in family.samples
        if sample.name == "celery_workers_tasks_total"
    }
    assert found == {("io", "other")}


def test_names_are_bounded(counted: Counted, files: dict[str, ModuleType]) -> None:
    for number in range(files["tally"].MOST_TASK_NAMES + 5):
        counted.end(name=f"task-{number}")
    labels = {"class": "io", "queue": "io", "task": "other", "outcome": "succeeded"}
    assert counted.value("celery_workers_tasks_total", **labels) == 5


@pytest.mark.parametrize(
    ("event", "sent_at", "seconds"),
    [
        ({"published": 100, "timestamp": 110.0, "runtime": 1.0}, None, 9.5),
        ({"published": 100, "timestamp": 110.0, "runtime": 1.0}, 100.9, 9.1),
        ({"published": 100, "timestamp": 110.0, "due": 105.0, "runtime": 1.0}, None, 5.0),
        ({"published": 105, "timestamp": 110.0, "runtime": 1.0}, 100.9, 5.0),
        ({"published": 100, "timestamp": 100.2, "runtime": 0.1}, None, 0.1),
        ({"published": 100, "timestamp": 90.0, "runtime": None}, None, 0.0),
        ({"published": None, "timestamp": 90.0, "runtime": 1.0}, None, None),
    ],
)
def test_latency(files: dict[str, ModuleType], event: dict[str, Any], sent_at: float | None, seconds: float) -> None:
    assert files["tally"].latency_seconds(event, sent_at) == (None if seconds is None else pytest.approx(seconds))


def test_workers_come_and_go(counted: Counted) -> None:
    tally = counted.tally
    assert tally.workers(0.0) is None
    tally.connected(0.0)
    for name in ("io@a", "io@b", "cpu@c"):
        tally.event(beat(name), 1.0)
    assert tally.workers(2.0) is None  # who has not been heard of yet may live
    assert tally.workers(6.0) == {"io": (2, 2), "cpu": (1, 1), "mixed": (0, 0)}
    tally.event({"type": "worker-offline", "hostname": "io@a"}, 7.0)
    tally.event(beat("io@b", active=3), 10.0)
    assert tally.workers(12.0) == {"io": (1, 3), "cpu": (1, 1), "mixed": (0, 0)}
    assert tally.workers(22.0) == {"io": (1, 3), "cpu": (0, 0), "mixed": (0, 0)}
    tally.disconnected()
    assert tally.workers(23.0) is None


def test_processed_goes_on_over_a_workers_restart(counted: Counted) -> None:
    counted.tally.connected(0.0)
    for processed in (5, 8, 2, 3):
        counted.tally.event(beat("io@a", processed=processed), 1.0)
    assert counted.value("celery_workers_processed_total", **{"class": "io"}) == 4


def test_a_dead_letters_reason(files: dict[str, ModuleType]) -> None:
    death_of = files["tally"].death_of
    own = {"queue": "io", "reason": "failed"}
    assert death_of({"h": own, "x-death": [{"queue": "x", "reason": "expired"}]}, "h") == ("io", "failed")
    assert death_of({"x-death": [{"queue": "io", "reason": "maxlen"}, {"queue": "y"}]}, "h") == ("io", "maxlen")
    assert death_of({}, "h") is death_of(None, "h") is None


def test_dead_letters_are_counted_by_class_queue_and_reason(counted: Counted) -> None:
    counted.tally.watches_letters()
    letters = "celery_workers_dead_letters_total"
    assert counted.value(letters, **{"class": "io", "queue": "io", "reason": "expired"}) == 0
    for queue, reason in (("io", "expired"), ("io", "made up"), ("somebody's", "expired")):
        counted.tally.letter(queue, reason)
    assert counted.value(letters, **{"class": "io", "queue": "io", "reason": "expired"}) == 1
    assert counted.value(letters, **{"class": "io", "queue": "io", "reason": "other"}) == 1
    assert counted.value(letters, **{"class": "other", "queue": "other", "reason": "expired"}) == 1


def test_a_queues_facts(files: dict[str, ModuleType]) -> None:
    facts_of = files["looks"].facts_of
    wanted = {"max-length": 5, "dead-letter-exchange": "dlx", "consumer-timeout": 1}
    policy = {"max-length": 7, "dead-letter-exchange": "dlx", "message-ttl": 2500}
    found = facts_of(wanted, {"effective_policy_definition": policy, "messages_ready": 1, "head_message_timestamp": 90})
    assert (found.limit_messages, found.ttl_seconds, found.oldest_at, found.policy_missing) == (7, 2.5, 90, False)
    young = {"effective_policy_definition": {}, "message_stats": {"publish": 3}}
    assert facts_of({}, young).counts == {"published": 3, "delivered": 0, "acknowledged": 0, "redelivered": 0}
    assert facts_of(wanted, {"effective_policy_definition": []}).policy_missing
    assert facts_of(wanted, None).policy_missing
    assert not facts_of(wanted, {"name": "io"}).is_told
    empty = facts_of({}, {"effective_policy_definition": {}, "messages_ready": 0, "head_message_timestamp": 90})
    assert (empty.oldest_at, empty.policy_missing) == (None, False)


@pytest.mark.parametrize(
    ("open_until", "mode", "is_open"),
    [(None, None, False), ("2000", None, True), ("900", None, False), ("2000", "closed", False), (None, "open", True)],
)
def test_a_breaker(files: dict[str, ModuleType], open_until: str | None, mode: str | None, is_open: bool) -> None:
    assert files["looks"].is_open(open_until, mode, 1000.0) is is_open
