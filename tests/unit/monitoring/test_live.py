"""What a live view says of a release, from states given by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from harness.cli.watch import shown
from harness.errors import HarnessError
from harness.monitoring import live
from harness.monitoring.live import AlertLine, Look
from harness.monitoring.watching import OWN, PATIENCE_SECONDS, Watcher
from harness.ops.status import FillLevels, PoolLine, QueueLine, Status, queue_lines

LEVELS = FillLevels(warning=0.5, critical=0.8)
QUEUE = QueueLine(
    name="io", class_name="io", ready=100, unacked=20, limit_messages=1000, fill=0.1, consumers=2, oldest_seconds=3.0,
    paused=False, dead_queue="io.dlq", dead=0, levels=LEVELS, arrived_per_second=5.0, done_per_second=15.0,
)  # fmt: skip
POOL = PoolLine("io", "celery-io-worker", "HorizontalPodAutoscaler", 5, 5, 5, 1, 5, False)
STATUS = Status(at=1000.0, release="celery", place="local run a", queues=(QUEUE,), pools=(POOL,))


def of(**changes: Any) -> Status:
    return replace(STATUS, queues=(replace(QUEUE, **changes),))


def names(now: Status, before: Status | None = None) -> list[tuple[str, str]]:
    return [(line.name, line.severity) for line in live.own_alerts(now, before)]


def test_rates_come_from_the_broker_and_say_when_the_queue_will_be_empty() -> None:
    stats = {"publish_details": {"rate": 2.0}, "ack_details": {"rate": 12.0}}
    topology = {"queues": {"io": {"class": "io"}, "cpu": {"class": "cpu"}}}
    documents = [{"name": "io", "messages_ready": 90, "messages_unacknowledged": 10, "message_stats": stats}]
    cpu, io = queue_lines(topology, documents, paused=[], levels=LEVELS, now=0.0)
    assert (io.arrived_per_second, io.done_per_second, io.gone_in_seconds) == (2.0, 12.0, 10.0)
    assert (cpu.arrived_per_second, cpu.done_per_second, cpu.gone_in_seconds) == (None, None, None)
    assert replace(io, arrived_per_second=12.0).gone_in_seconds is None


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        (STATUS, None, []),
        (of(ready=600, fill=0.6), None, [("QueueFilling", "warning")]),
        (of(ready=900, fill=0.9), None, [("QueueFilling", "critical")]),
        (of(consumers=0), None, [("NoConsumer", "critical")]),
        (of(consumers=0, paused=True), None, []),
        (of(dead=7), of(dead=5), [("DeadLetters", "warning")]),
        (of(dead=5), of(dead=5), []),
        (of(ready=200), STATUS, [("AtMaximum", "critical")]),
        (of(ready=50), STATUS, []),
        (replace(STATUS, breakers={"mail": {"state": "open"}}), None, [("BreakerOpen", "critical")]),
    ],
)
def test_own_alerts(now: Status, before: Status | None, expected: list[tuple[str, str]]) -> None:
    assert names(now, before) == expected


def test_alerts_of_prometheus_are_those_of_the_release_that_fire_the_worst_first() -> None:
    def alert(name: str, severity: str, state: str = "firing", **labels: str) -> dict[str, Any]:
        return {
            "state": state,
            "labels": {"alertname": name, "severity": severity, **labels},
            "annotations": {"summary": f"{name}!"},
            "activeAt": "1970-01-01T00:16:40.123456789Z",
        }

    alerts = [
        alert("B", "warning", queue="io", **{"class": "io"}),
        alert("A", "critical", release="celery"),
        alert("Pending", "critical", state="pending"),
        alert("Other", "critical", release="other"),
    ]
    first, second = live.alert_lines(alerts, release="celery")
    assert (first.name, first.severity, first.summary) == ("A", "critical", "A!")
    assert (second.name, second.about) == ("B", "io")
    assert second.since == pytest.approx(1000.123456789)


def test_a_look_as_json_and_on_a_screen_of_eighty_columns() -> None:
    line = AlertLine("QueueFilling", "critical", "io", 880.0, "io is 90 % full")
    look = Look(STATUS, "Prometheus at http://127.0.0.1:9090", [line], {"io": 4.25})
    document = json.loads(json.dumps(look.as_dict()))
    assert document["queues"][0]["within_seconds"] == 4.25
    assert document["queues"][0]["gone_in_seconds"] == 12.0
    assert document["alerts"][0]["name"] == "QueueFilling"
    console = Console(width=80)
    with console.capture() as capture:
        console.print(shown(look))
    text = capture.get()
    assert "io is 90 % full" in text
    assert "2m" in text  # for how long it has fired
    for cell in ("published/s", "95 % done within", "15.0", "4.2s", "12s"):
        assert cell in text


class Release:
    """A release that answers, or does not."""

    release = "celery"

    def __init__(self) -> None:
        self.now = 1000.0
        self.error: HarnessError | None = None

    def look(self) -> Status:
        if self.error is not None:
            raise self.error
        return replace(STATUS, at=self.now)


def test_a_release_that_does_not_answer_for_a_moment_is_shown_as_it_was() -> None:
    release = Release()
    watcher = Watcher(release, clock=lambda: release.now)
    assert watcher.look().alerts_from == OWN
    release.error = HarnessError("the API server is away")
    release.now += 10
    look = watcher.look()
    assert look.status.at == 1000.0
    assert look.status.problems == ("the API server is away",)
    release.error = None
    assert watcher.look().status.problems == ()
    release.error = HarnessError("the API server is away")
    release.now += PATIENCE_SECONDS + 1
    with pytest.raises(HarnessError, match="away"):
        watcher.look()


def test_a_release_that_never_answered_is_an_error() -> None:
    release = Release()
    release.error = HarnessError("away")
    with pytest.raises(HarnessError, match="away"):
        Watcher(release).look()
