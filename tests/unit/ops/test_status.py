from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from harness.broker.stats import QueueDepth
from harness.chart.values import defaults
from harness.cli.ops_screen import screen
from harness.ops import status, wishes
from harness.ops.overrides import Change, Override
from harness.ops.status import FillLevels, Status, override_lines, pool_lines, queue_lines
from tests.unit.ops.test_engine import DEPLOYMENT, SCALED

OVERRIDDEN = {"mode": None, "threshold": 20, "left_seconds": 60.0}
LEVELS = FillLevels.of_alerts(defaults()["monitoring"]["alerts"])
TOPOLOGY = {"queues": {"io": {"class": "io", "max_length_messages": 1000, "dead_letter_queue": "io.dead"}}}


def one_queue(*, paused: bool = False, dead: int = 0, **document: Any) -> status.QueueLine:
    documents = [{"name": "io", **document}, {"name": "io.dead", "messages": dead}]
    (line,) = queue_lines(TOPOLOGY, documents, paused=["io"] if paused else [], levels=LEVELS, now=1000.0)
    return line


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (one_queue(messages_ready=500, consumers=1), "ok"),
        (one_queue(messages_ready=501, consumers=1), "warning"),
        (one_queue(messages_ready=801, consumers=1), "critical"),
        (one_queue(messages_ready=1, consumers=0), "critical"),
        (one_queue(messages_ready=1, consumers=0, paused=True), "ok"),
        (one_queue(consumers=1, dead=1), "warning"),
        (one_queue(), "ok"),
    ],
)
def test_levels_are_the_guides_thresholds_and_work_nobody_takes(line: status.QueueLine, level: str) -> None:
    assert line.level == level


def test_the_oldest_tasks_age_is_known_where_rabbitmq_knows_it() -> None:
    assert one_queue(messages_ready=1, head_message_timestamp=940).oldest_seconds == 60
    assert one_queue(messages_ready=1, head_message_timestamp=None).oldest_seconds is None
    assert one_queue(messages_ready=1, head_message_timestamp=1005).oldest_seconds == 0  # a publisher's clock ahead
    assert one_queue(messages_ready=0, head_message_timestamp=940).oldest_seconds is None


def test_what_waits_in_rabbitmq_is_told_apart_from_what_a_full_queue_refuses() -> None:
    documents = [
        {"name": "celery_celery_delayed_3", "messages": 4},
        {"name": "celery_celery_delayed_0", "messages": 2},
        {"name": "celery_celery_delayed_due_io", "messages": 5, "messages_dlx": 5},
        {"name": "celery_celery_delayed_due_cpu", "messages": 0},
        {"name": "another_celery_delayed_0", "messages": 9},
        {"name": "io", "messages": 9},
    ]
    assert status.delayed_tasks("celery", documents) == status.Delayed(later=6, refused={"io": 5})
    assert status.delayed_tasks("exams", documents) is None
    now = status.with_depths(documents, {one["name"]: QueueDepth(ready=1, unacked=0) for one in documents[2:3]})
    assert now[2]["messages"] == 6


def test_a_broker_that_is_silent_leaves_the_queues_names() -> None:
    (line,) = queue_lines(TOPOLOGY, [], paused=[], levels=LEVELS, now=0.0)
    assert (line.name, line.ready, line.limit_messages) == ("io", 0, 1000)


def test_everything_stands_on_the_screen() -> None:
    override = Override("a1b2c3", "scale io 5", (Change("floor/x", 1, 5),), "somebody", 900.0, 1900.0)
    seen = Status(
        at=1000.0,
        release="celery",
        place="local run x",
        queues=(one_queue(messages_ready=900, consumers=2, dead=3),),
        pools=pool_lines(wishes.pools([DEPLOYMENT], [SCALED])),
        delayed=status.Delayed(later=1200, refused={"io": 7}),
        breakers={"orders-db": {"state": "open", "failures": 7, "threshold": 20, "override": OVERRIDDEN}},
        rates={"send": "10/m"},
        overrides=override_lines([override], now=1000.0),
        problems=("Redis does not answer",),
    )
    console = Console(width=120, file=io.StringIO())
    console.print(screen(seen))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for wanted in (
        "90%",
        "ScaledObject",
        "orders-db",
        "threshold 20",
        "10/m",
        "scale io 5",
        "15m",
        "Redis does not",
        "1,200 tasks wait",
    ):
        assert wanted in text
    assert "7 are due and wait for room in io" in text
    assert seen.as_dict()["queues"][0]["level"] == "critical"
    assert seen.as_dict()["delayed"] == {"later": 1200, "refused": {"io": 7}}


def test_overrides_that_end_first_come_first_and_those_without_an_end_last() -> None:
    def ending(name: str, until: float | None) -> Override:
        return Override(name, name, (Change("x", None, 1),), "somebody", 0.0, until)

    lines = override_lines([ending("never", None), ending("late", 200.0), ending("soon", 101.0)], now=100.0)
    assert [(line.id, line.left_seconds) for line in lines] == [("soon", 1.0), ("late", 100.0), ("never", None)]
