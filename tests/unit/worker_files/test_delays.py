"""Delay queues: the Job makes kombu's, and publishers send by them what is due later."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest
from celery import Celery
from kombu.transport.native_delayed_delivery import declare_native_delayed_delivery_exchanges_and_queues

from benchmarks import workers
from celery_workers.delays import Delays, seconds_left
from harness.broker import delays
from tests.local.worker_release import load_file
from tests.recording import RecordingApi

APPLY = load_file(workers.CHART_FILES / "apply_topology.py")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
KEY_OF_5 = "0." * 25 + "1.0.1.io"


def declared(highest_level: int, *queues: str) -> RecordingApi:
    api = RecordingApi()
    topology = {
        "release": "celery",
        "queues": dict.fromkeys(queues),
        "delayed_delivery": {"highest_level": highest_level},
    }
    APPLY.declare_delays(api, topology, 0.0)
    return api


def test_all_28_levels_are_kombus() -> None:
    connection = MagicMock()
    channel = connection.channel.return_value
    channel.prepare_queue_arguments.side_effect = lambda arguments, **options: arguments
    declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum", "celery")
    exchanges = {call.kwargs["exchange"]: call.kwargs["type"] for call in channel.exchange_declare.call_args_list}
    queues = {call.kwargs["queue"]: call.kwargs["arguments"] for call in channel.queue_declare.call_args_list}
    bindings = {
        (call.kwargs["exchange"], call.kwargs["queue"], call.kwargs["routing_key"])
        for call in channel.queue_bind.call_args_list
        if call.kwargs["routing_key"]
    } | {
        (call.kwargs["source"], call.kwargs["destination"], call.kwargs["routing_key"])
        for call in channel.exchange_bind.call_args_list
    }
    ours = declared(27)
    assert len(queues) == 28
    assert (ours.exchanges, ours.queues, ours.bindings) == (exchanges, queues, bindings)


def test_all_who_name_them_name_the_same(celeryconfig: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chart's files and the packages cannot import each other."""
    monkeypatch.setitem(
        sys.modules, "celeryconfig", celeryconfig
    )  # which it imports, and which reads a release's files
    check = load_file(workers.CHART_FILES / "celery_workers_check.py")
    topology = workers.make_topology(
        app="a",
        classes={},
        queues={name: workers.make_queue("io") for name in ("io", "bulk.mail")},
        delayed_delivery={"highest_level": 3},
    )
    made = declared(3, *topology["queues"])
    first, *_ = exchanges = delays.exchanges(topology)
    assert set(exchanges) == set(made.exchanges)
    assert {*exchanges[:-1], *delays.due_queues(topology)} == set(made.queues)
    on_the_way = delays.queues_on_the_way(topology)
    assert set(on_the_way) == {*made.queues, *topology["queues"]}
    goes_on = {name: one["x-dead-letter-exchange"] for name, one in made.queues.items()}
    assert all(goes_on[one] in ("", exchanges[-1], following) for one, following in pairwise(exchanges))
    assert on_the_way[4:] == [*delays.due_queues(topology), *sorted(topology["queues"])]
    assert set(check.wanted_queues(topology)) - {"io.dead"} == {*topology["queues"], *made.queues}
    assert all(name.startswith(delays.prefix("celery")) for name in (*made.queues, *made.exchanges))
    assert Delays.from_document(topology) is not None
    assert Delays("celery", 3).place({"countdown": 5}, "io", NOW)["exchange"] == first


def test_what_is_due_leaves_by_a_queue_of_its_own_queues() -> None:
    """There a full queue refuses it, without a limit and for as long as it is full, and no other queue's tasks wait."""
    without, one = declared(27), declared(27, "io")
    assert one.queues == {
        **without.queues,
        "celery_celery_delayed_due_io": {
            "x-queue-type": "quorum",
            "x-overflow": "reject-publish",
            "x-message-ttl": 0,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": "io",
            "x-dead-letter-strategy": "at-least-once",
        },
    }
    bound = ("celery_celery_delayed_delivery", "celery_celery_delayed_due_io", "*." * 28 + "io")
    assert one.bindings - without.bindings == {bound}


def test_fewer_levels_are_the_last_ones() -> None:
    few, all_levels = declared(3), declared(27)
    assert len(few.queues) == 4
    assert few.queues.items() <= all_levels.queues.items()
    assert few.bindings < all_levels.bindings


def test_a_queue_has_the_tasks_of_no_other_one() -> None:
    keys = {queue: key for source, queue, key in declared(0, "mail", "bulk.mail").bindings if "delivery" in source}
    assert keys["celery_celery_delayed_due_mail"].split(".") == ["*"] * 28 + ["mail"]
    assert keys["celery_celery_delayed_due_bulk.mail"].split(".") == ["*"] * 28 + ["bulk", "mail"]


TWO_SECONDS = {"release": "celery", "queues": {"io": {}}, "delayed_delivery": {"highest_level": 1}}


def policy(priority: int, pattern: str = ".*", apply_to: str = "queues", **definition: Any) -> dict[str, Any]:
    keys = {name.replace("_", "-"): value for name, value in definition.items()}
    return {"name": "all", "priority": priority, "pattern": pattern, "apply-to": apply_to, "definition": keys}


@pytest.mark.parametrize("spoils", [{"message_ttl": 1000}, {"expires": 1000}])
def test_a_policy_that_would_end_a_wait_stops_the_job(spoils: dict[str, int]) -> None:
    for policies in ([policy(0, **spoils)], [policy(0, **spoils), policy(0, max_length=5)]):
        with pytest.raises(APPLY.TopologyError, match="policy 'all' holds for queue 'celery_celery_delayed_"):
            APPLY.check_delays_are_spared(policies, TWO_SECONDS)


@pytest.mark.parametrize(
    "policies",
    [
        [policy(0, max_length=5)],
        [policy(0, "^io$", message_ttl=1000)],
        [policy(0, apply_to="classic_queues", message_ttl=1000)],
        [policy(0, message_ttl=1000), policy(1, max_length=5)],
        [policy(0, message_ttl=2000)],
    ],
)
def test_other_policies_do_not(policies: list[dict[str, Any]]) -> None:
    APPLY.check_delays_are_spared(policies, TWO_SECONDS)


@pytest.mark.parametrize(
    "options",
    [{"countdown": 5}, {"countdown": 4.2}, {"eta": NOW + timedelta(seconds=5)}, {"eta": "2026-01-02T00:00:04.5"}],
)
def test_a_later_task_goes_to_the_first_delay_and_is_never_early(options: dict[str, Any]) -> None:
    placed = Delays("celery", 27).place({**options, "priority": 3}, "io", NOW)
    assert placed == {
        "priority": 3,
        "countdown": None,
        "eta": None,
        "exchange": "celery_celery_delayed_27",
        "routing_key": KEY_OF_5,
        "timestamp": int(NOW.timestamp()) + 5,
    }


@pytest.mark.parametrize("highest_level", [27, 2])
def test_celery_alone_sends_as_the_library_does(highest_level: int, celeryconfig: ModuleType) -> None:
    topology = workers.make_topology(
        app="a", classes={}, queues={"io": workers.make_queue("io")}, delayed_delivery={"highest_level": highest_level}
    )
    options = {"countdown": 100.5}
    made = Celery(set_as_current=False).amqp.as_task_v2("id", "task", **options)
    message, sent = celeryconfig.make_queue(topology, "io").delay(made, {"queue": "io", "expiration": 600})
    placed = Delays("celery", highest_level).place(options, "io")
    assert sent == {name: placed[name] for name in ("exchange", "routing_key")}
    assert message.headers["eta"] == (made.headers["eta"] if placed["countdown"] else None)
    assert message.properties["timestamp"] - placed["timestamp"] in {-1, 0}  # it looked a moment earlier


@pytest.mark.parametrize(
    "options",
    [{}, {"countdown": 0.3}, {"countdown": -1}, {"eta": NOW - timedelta(hours=1)}, {"countdown": 5, "exchange": "x"}],
)
def test_others_go_as_they_are(options: dict[str, Any]) -> None:
    assert Delays("celery", 27).place(options, "io", NOW) == options


def test_what_waits_longer_than_all_queues_keeps_its_eta() -> None:
    placed = Delays("celery", 1).place({"countdown": 60}, "io", NOW)
    assert placed["countdown"] == 60
    assert placed["routing_key"] == "0." * 26 + "1.1.io"


def test_a_countdown_goes_before_an_eta() -> None:
    assert seconds_left({"countdown": 3, "eta": NOW + timedelta(days=1)}, NOW) == 3
