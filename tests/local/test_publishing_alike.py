"""Most tasks of `publish_many` Celery does not build itself. On the wire they are what it would have sent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.signals import after_task_publish, before_task_publish
from kombu import Exchange, Queue

from benchmarks import workers
from celery_workers import Publisher, TaskCall
from harness.broker.server import Broker
from tests.local.publishing import make_app, run_script

ALIKE = 5  # the first two are Celery's own


CLOCKS = ("expiration", "timestamp")
NEWEST_SECONDS = 100


def messages(app: Celery, queue: str, *, without: Sequence[str] = CLOCKS) -> list[tuple[bytes, dict[str, Any]]]:
    """Take everything out of a queue: bodies and properties, in order, without what the clock says.

    That is the time left to live, and the second in which a message was published.
    """
    found = []
    with app.connection_for_read() as connection:
        while message := connection.default_channel.basic_get(queue, no_ack=True):
            timed = message.properties.get("timestamp")
            assert timed is None or abs(timed - time.time()) < NEWEST_SECONDS
            found.append((message.body, {k: v for k, v in message.properties.items() if k not in without}))
    return found


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("t", {}),
    "routed": ("mail.send", {}),
    "named queue": ("t", {"queue": "cpu"}),
    "queue object": ("t", {"queue": Queue("cpu")}),
    "priority": ("t", {"priority": 6}),
    "headers": ("t", {"headers": {"tenant": "7", "nested": {"a": [1, True, None, 1.5]}}}),
    "a header of Celery's": ("t", {"headers": {"argsrepr": "(secret)"}}),
    "shown arguments": ("t", {"argsrepr": "(secret)"}),
    "limits": ("t", {"time_limit": 20, "soft_time_limit": 10}),
    "no result": ("t", {"ignore_result": True}),
    "transient": ("t", {"delivery_mode": 1}),
    "exchange": ("t", {"exchange": "amq.direct", "routing_key": "elsewhere"}),
    "serializer": ("t", {"serializer": "yaml"}),
    "compression": ("t", {"compression": "gzip"}),
    "expires": ("t", {"expires": datetime.now(UTC) + timedelta(hours=1)}),
    "eta": ("t", {"eta": datetime(2100, 1, 1, tzinfo=UTC)}),
    "root": ("t", {"root_id": "one root", "parent_id": "one parent"}),
    "group": ("t", {"group_id": "one group", "group_index": 3}),
    "link": ("t", {"link": {"task": "after", "args": [], "kwargs": {}, "options": {}, "subtask_type": None}}),
    "stamped": ("t", {"stamped_headers": ["batch"], "batch": "7"}),
    "registered": ("with.options", {}),
}
ARGUMENTS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    ((1, "two", None, 4.5), {"recipient": "student@example.org"}),
    (("it's", "ü", "x" * 2000), {"nested": {"a": [1, {"b": {"c": {"d": 1}}}]}}),
    ((datetime(2026, 1, 1, tzinfo=UTC),), {"x": "x" * 200_000}),  # more than one frame
    ((True,), {"n": 2**70}),
]


@pytest.fixture
def app(vhost_broker: Broker) -> Celery:
    app = make_app(vhost_broker.amqp_url, io={"x-max-priority": 9}, cpu={}, elsewhere={})
    app.conf.task_routes = {"mail.*": {"queue": "cpu", "priority": 6}}
    app.conf.accept_content = ["json", "yaml"]

    @app.task(name="with.options", shared=False, queue="cpu", time_limit=9, priority=3, serializer="yaml", typing=False)
    def with_options(*_args: Any, **_kwargs: Any) -> None:
        """Is sent only."""

    with app.connection_for_write() as connection:
        Queue("elsewhere", Exchange("amq.direct", type="direct"), "elsewhere")(connection.default_channel).declare()
    return app


@pytest.mark.parametrize("kind", KINDS)
def test_each_message_is_as_celery_sends_it(app: Celery, kind: str) -> None:
    name, options = KINDS[kind]
    calls = [TaskCall(name, args, kwargs, f"id {n}", options) for n, (args, kwargs) in enumerate(ARGUMENTS)]
    with app.producer_pool.acquire(block=True) as producer:
        for call in calls:
            app.send_task(
                name, call.args, call.kwargs, task_id=call.task_id, producer=producer, mandatory=True, **options
            )
    celerys = [messages(app, queue) for queue in ("io", "cpu", "elsewhere")]
    assert sum(map(len, celerys)) == len(ARGUMENTS)
    outcomes = list(Publisher(app).publish_many(calls))
    assert [outcome.status for outcome in outcomes] == ["accepted"] * len(calls)
    assert [messages(app, queue) for queue in ("io", "cpu", "elsewhere")] == celerys


def test_kinds_that_take_turns_keep_apart(app: Celery) -> None:
    """True and 1 are equal in Python, and different to who reads the header."""
    marks = (True, 1, 1.0, "1", None)
    calls = [TaskCall("t", options={"headers": {"mark": mark}}) for _ in range(4) for mark in marks]
    assert all(outcome.accepted for outcome in Publisher(app).publish_many(calls))
    headers = [properties["application_headers"]["mark"] for _, properties in messages(app, "io")]
    assert [(type(mark), mark) for mark in headers] == [(type(mark), mark) for mark in marks] * 4


def test_options_changed_between_two_tasks_count(app: Celery) -> None:
    headers = {"n": 0}

    def calls() -> Iterator[TaskCall]:
        for number in range(6):
            headers["n"] = number
            yield TaskCall("t", options={"headers": headers})

    assert all(outcome.accepted for outcome in Publisher(app).publish_many(calls()))
    assert [properties["application_headers"]["n"] for _, properties in messages(app, "io")] == list(range(6))


def test_tasks_of_a_task_have_it_as_parent(app: Celery) -> None:
    publisher = Publisher(app)
    statuses: list[str] = []

    @app.task(bind=True, shared=False)
    def parent(task: Any) -> None:
        statuses.extend(outcome.status for outcome in publisher.publish_many(TaskCall("t") for _ in range(ALIKE)))

    parent.apply(task_id="the parent")
    parent.apply(task_id="another")
    found = [properties["application_headers"] for _, properties in messages(app, "io")]
    assert statuses == ["accepted"] * 2 * ALIKE
    assert [(one["root_id"], one["parent_id"]) for one in found] == [
        (name, name) for name in ("the parent", "another") for _ in range(ALIKE)
    ]


def test_receivers_of_celerys_signals_see_every_task(app: Celery) -> None:
    seen: list[str] = []

    def before(headers: dict[str, Any], **_details: Any) -> None:
        headers["trace"] = f"trace of {headers['id']}"

    def after(headers: dict[str, Any], **_details: Any) -> None:
        seen.append(headers["id"])

    before_task_publish.connect(before)
    after_task_publish.connect(after)
    try:
        outcomes = list(Publisher(app).publish_many(TaskCall("t", task_id=str(n)) for n in range(ALIKE)))
    finally:
        before_task_publish.disconnect(before)
        after_task_publish.disconnect(after)
    assert len(outcomes) == ALIKE
    assert seen == [str(n) for n in range(ALIKE)]
    traces = [properties["application_headers"]["trace"] for _, properties in messages(app, "io")]
    assert traces == [f"trace of {n}" for n in range(ALIKE)]


def test_a_router_that_looks_at_the_arguments_is_asked_for_every_task(app: Celery) -> None:
    def by_size(name: str, args: Any, kwargs: dict[str, Any], options: Any, task: Any = None, **_more: Any) -> Any:
        return {"queue": "cpu" if kwargs["n"] % 2 else "io"}

    app.conf.task_routes = (by_size,)
    calls = (TaskCall("t", kwargs={"n": n}) for n in range(6))
    assert all(outcome.accepted for outcome in Publisher(app).publish_many(calls))
    assert [json.loads(body)[1]["n"] for body, _ in messages(app, "cpu")] == [1, 3, 5]


def test_what_wraps_sending_sees_every_task(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0
    send_task = app.send_task

    def traced(*args: Any, **options: Any) -> Any:
        nonlocal seen
        seen += 1
        return send_task(*args, **options)

    monkeypatch.setattr(app, "send_task", traced)
    assert all(outcome.accepted for outcome in Publisher(app).publish_many(TaskCall("t") for _ in range(ALIKE)))
    assert seen == ALIKE


def test_one_that_only_sets_the_time_need_not_see_every_task(app: Celery) -> None:
    """As the chart's celeryconfig says of its own; its router says as much. Both would be most of what a task costs."""
    calls: list[str] = []

    def stamp(properties: dict[str, Any], **_details: Any) -> None:
        calls.append("stamp")
        properties.setdefault("timestamp", int(datetime.now(UTC).timestamp()))

    def route(name: str, *_details: Any, **_more: Any) -> dict[str, Any]:
        calls.append("route")
        return {"queue": "cpu", "priority": 4}

    stamp.sets_timestamp_only = route.by_name_only = True  # type: ignore[attr-defined]
    app.conf.task_routes = (route,)
    started = int(datetime.now(UTC).timestamp())
    before_task_publish.connect(stamp)
    try:
        outcomes = list(Publisher(app).publish_many(TaskCall("t", options={"ignore_result": True}) for _ in range(50)))
    finally:
        before_task_publish.disconnect(stamp)
    assert all(outcome.accepted for outcome in outcomes)
    assert calls.count("stamp") == 2
    found = [properties for _, properties in messages(app, "cpu", without=())]
    assert len(found) == 50
    assert all(one["timestamp"] >= started for one in found)


CHARTS_SETTINGS = """
import sys
sys.path.insert(0, sys.argv[1])
from celery import Celery
from celery_workers.senders import is_plain
app = Celery("publisher")
app.config_from_object("celeryconfig")
assert app.amqp.router.route({}, "bulk_upload")["queue"].name == "cpu"
assert is_plain(app, app.amqp.Producer(None, auto_declare=False))
"""


def test_the_charts_own_settings_leave_every_message_plain(tmp_path: Path) -> None:
    topology = workers.make_topology(
        app="user",
        classes={},
        queues={"cpu": workers.make_queue("cpu")},
        routes=[{"task": "bulk_upload", "queue": "cpu", "priority": 4}],
    )
    run_script(CHARTS_SETTINGS, str(workers.write_config(tmp_path / "config", topology)))
