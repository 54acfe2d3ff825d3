"""Dead letters put back and taken out, on a real RabbitMQ."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Exchange, Queue

from harness.broker.management import Management
from harness.broker.server import Broker
from harness.errors import HarnessError
from harness.ops import letterbox, letters, replay_journal
from harness.ops.letterbox import Order
from harness.ops.letters import Selection
from tests.local.test_ops import LocalRun
from tests.local.test_ops import run as _run
from tests.local.worker_release import eventually

run = _run  # the fixture
COUNT = 12


def die(broker: Broker, ids: list[str], *, task: str = "mail.send") -> None:
    """Let tasks expire in `io`, whose dead letters go to `io.dead`; `io` is then a queue without limits."""
    app = Celery(broker=broker.amqp_url, set_as_current=False)
    dead = Exchange("dead", type="direct")
    with app.connection_for_write() as connection, Management(broker.management_url) as api:
        channel = connection.default_channel
        Queue("io.dead", dead, routing_key="io")(channel).declare()
        Queue("io", queue_arguments={"x-max-priority": 9})(channel).declare()
        policy = {"message-ttl": 1, "dead-letter-exchange": "dead"}
        api.put_policy("io", pattern="^io$", definition=policy)
        before = api.depths()["io.dead"].total
        for task_id in ids:
            app.send_task(task, args=[task_id], task_id=task_id, queue=Queue("io"), priority=6, connection=connection,
                          declare=())  # fmt: skip
        assert eventually(lambda: api.depths()["io.dead"].total == before + len(ids))
        api.put_policy("io", pattern="^io$", definition={"dead-letter-exchange": "dead"})


def arrived(broker: Broker, queue: str = "io") -> list[Any]:
    """Take everything out of a queue."""
    found = []
    with Connection(broker.amqp_url) as connection:
        channel = connection.default_channel
        while (message := channel.basic_get(queue, no_ack=True)) is not None:
            found.append(message)
    return found


def ids_of(messages: list[Any]) -> Counter[str]:
    return Counter(message.headers["id"] for message in messages)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[replay_journal.ReplayJournal]:
    with replay_journal.opened(tmp_path / "replayed.jsonl") as journal:
        yield journal


EVERYTHING = Order(selection=Selection(), queues=("io",), per_second=1000)


def test_letters_go_back_as_they_were_and_none_is_left(vhost_broker: Broker, book: Any) -> None:
    ids = [f"id-{number}" for number in range(3)]
    die(vhost_broker, ids)
    done = letterbox.replay(vhost_broker.amqp_url, "io.dead", EVERYTHING, book)
    assert done.replayed == ids
    messages = arrived(vhost_broker)
    assert ids_of(messages) == Counter(ids)
    for message in messages:
        assert message.properties["priority"] == 6
        assert message.properties["delivery_mode"] == 2
        assert message.headers["task"] == "mail.send"
        assert message.headers[letters.REPLAYS_HEADER] == 1
        assert "x-death" not in message.headers
        assert json.loads(message.body)[0] == [message.headers["id"]]
    assert arrived(vhost_broker, "io.dead") == []


def test_a_letter_that_dies_again_can_be_put_back_again(vhost_broker: Broker, book: Any) -> None:
    die(vhost_broker, ["id-1"])
    with Management(vhost_broker.management_url) as api:
        api.put_policy("io", pattern="^io$", definition={"message-ttl": 1, "dead-letter-exchange": "dead"})
        for lives in (1, 2, 3):
            assert letterbox.replay(vhost_broker.amqp_url, "io.dead", EVERYTHING, book).replayed == ["id-1"]
            assert eventually(lambda: api.depths()["io.dead"].total == 1)
            with letterbox.opened(vhost_broker.amqp_url, "io.dead") as box:
                assert [letter.replays for letter, _ in box.letters()] == [lives]


def test_one_that_went_back_but_was_not_removed_is_not_put_back_twice(
    vhost_broker: Broker, book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(vhost_broker, ["id-1"])

    def broken(*_: object) -> None:
        raise HarnessError("the connection is gone")

    with monkeypatch.context() as patched:
        patched.setattr(letterbox.Letterbox, "remove", broken)
        with pytest.raises(HarnessError, match="gone"):
            letterbox.replay(vhost_broker.amqp_url, "io.dead", EVERYTHING, book)
    assert ids_of(arrived(vhost_broker)) == Counter(["id-1"])
    done = letterbox.replay(vhost_broker.amqp_url, "io.dead", EVERYTHING, book)
    assert (done.replayed, done.removed) == ([], ["id-1"])
    assert arrived(vhost_broker) == []
    assert arrived(vhost_broker, "io.dead") == []


def test_one_in_doubt_is_held_until_it_is_asked_for(
    vhost_broker: Broker, book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(vhost_broker, ["id-1", "id-2"])
    send = letterbox.Letterbox.send

    def cut(box: Any, letter: Any) -> None:
        send(box, letter)
        raise HarnessError("the connection is gone")  # before the confirm was heard

    with monkeypatch.context() as patched:
        patched.setattr(letterbox.Letterbox, "send", cut)
        with pytest.raises(HarnessError, match="gone"):
            letterbox.replay(vhost_broker.amqp_url, "io.dead", EVERYTHING, book)
    done = letterbox.replay(vhost_broker.amqp_url, "io.dead", EVERYTHING, book)
    assert (done.replayed, [one.id for one in done.held]) == (["id-2"], ["id-1"])
    asked = Order(selection=Selection(), queues=("io",), per_second=1000, in_doubt_too=True)
    assert letterbox.replay(vhost_broker.amqp_url, "io.dead", asked, book).replayed == ["id-1"]
    assert ids_of(arrived(vhost_broker)) == Counter({"id-1": 2, "id-2": 1})


def test_a_full_queue_ends_it_and_nothing_is_lost(vhost_broker: Broker, book: Any) -> None:
    die(vhost_broker, ["id-1", "id-2", "id-3"])
    with Management(vhost_broker.management_url) as api:
        full = {"max-length": 2, "overflow": "reject-publish"}
        api.put_policy("io", pattern="^io$", definition=full)
        done = letterbox.replay(vhost_broker.amqp_url, "io.dead", EVERYTHING, book)
        assert done.replayed == ["id-1", "id-2"]
        assert "full" in done.refused
        assert ids_of(arrived(vhost_broker)) == Counter(["id-1", "id-2"])
        assert letterbox.replay(vhost_broker.amqp_url, "io.dead", EVERYTHING, book).replayed == ["id-3"]


def test_a_queue_that_is_not_there_takes_nothing(vhost_broker: Broker, book: Any) -> None:
    die(vhost_broker, ["id-1"])
    with Management(vhost_broker.management_url) as api:
        api.delete_queue("io")
        done = letterbox.replay(vhost_broker.amqp_url, "io.dead", EVERYTHING, book)
        assert "no queue io" in done.refused
        assert api.depths()["io.dead"].total == 1
    elsewhere = Order(selection=Selection(), queues=("cpu",))
    done = letterbox.replay(vhost_broker.amqp_url, "io.dead", elsewhere, book)
    assert [one.id for one in done.unroutable] == ["id-1"]


def test_a_selection_leaves_the_others_in_their_places(vhost_broker: Broker, book: Any) -> None:
    die(vhost_broker, ["id-1", "id-2"])
    die(vhost_broker, ["id-3"], task="bills.book")
    chosen = Order(selection=Selection(tasks=("book",)), queues=("io",), limit=5)
    assert letterbox.replay(vhost_broker.amqp_url, "io.dead", chosen, book).replayed == ["id-3"]
    with letterbox.opened(vhost_broker.amqp_url, "io.dead") as box:
        assert [letter.id for letter, _ in box.letters()] == ["id-1", "id-2"]


def test_the_command_killed_in_the_middle_and_run_again_puts_each_back_once(
    run: LocalRun, vhost_broker: Broker, tmp_path: Path
) -> None:
    ids = [f"id-{number}" for number in range(COUNT)]
    die(vhost_broker, ids)
    journal = tmp_path / "journal.jsonl"
    command = [sys.executable, "-m", "harness", "ops", "dlq", "replay", "io", "--journal", journal]
    with subprocess.Popen([*command, "--reason", "expired", "--rate", "5/s"], env=run.environment) as process:
        assert eventually(lambda: journal.exists() and journal.read_text().count("confirmed") >= 3, seconds=30)
        process.send_signal(signal.SIGKILL)
    told = [json.loads(line) for line in journal.read_text().splitlines() if line.endswith("}")]
    confirmed = {line["id"] for line in told if line["event"] == "confirmed"}
    doubtful = {line["id"] for line in told} - confirmed
    assert len(confirmed) < COUNT
    if doubtful:  # killed just between sending and hearing: that one is held, and told
        left = json.loads(run.ops("dlq", "replay", "io", "--journal", str(journal), "--json", code=1))
        assert {one["id"] for one in left["in_doubt"]} == doubtful
    else:
        run.ops("dlq", "replay", "io", "--journal", str(journal))
    found = ids_of(arrived(vhost_broker))
    assert set(ids) - doubtful <= set(found)
    assert max(found.values()) == 1


def test_list_show_and_purge(run: LocalRun, vhost_broker: Broker, tmp_path: Path) -> None:
    die(vhost_broker, ["id-1", "id-2"])
    die(vhost_broker, ["id-3"], task="bills.book")
    rows = run.answer("dlq", "list")
    assert [(row["task"], row["reason"], row["count"]) for row in rows] == [
        ("mail.send", "expired", 2),
        ("bills.book", "expired", 1),
    ]
    assert run.ops("dlq", "show", "io", "--limit", "2").count("expired in io") == 2
    shown = run.ops("dlq", "show", "io", "--ids", "id-2")
    assert "expired in io" in shown
    assert '"id-2"' not in shown
    assert '"id-2"' in run.ops("dlq", "show", "io", "--ids", "id-2", "--args")
    assert "--yes" in run.ops("dlq", "purge", "io", "--task", "send", code=2)
    kept = tmp_path / "kept.jsonl"
    assert run.answer("dlq", "purge", "io", "--task", "send", "--yes", "--file", str(kept))["removed"] == 2
    messages = [json.loads(line)["message"] for line in kept.read_text().splitlines()]
    assert [json.loads(base64.b64decode(one["body"]))[0] for one in messages] == [["id-1"], ["id-2"]]
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [row["count"] for row in run.answer("dlq", "list", "io.dead")] == [1]
    assert [line["action"] for line in run.answer("log")] == ["dlq purge"]
    assert "QUEUE nope" in run.ops("dlq", "list", "nope", code=2)


def test_a_dry_run_changes_nothing(run: LocalRun, vhost_broker: Broker) -> None:
    die(vhost_broker, ["id-1"])
    assert run.answer("dlq", "replay", "io", "--reason", "expired", "--dry-run")["replayed"] == ["id-1"]
    assert run.answer("dlq", "purge", "io", "--dry-run")["removed"] == 1
    assert ids_of(arrived(vhost_broker, "io.dead")) == Counter(["id-1"])


def test_the_rate_holds(vhost_broker: Broker, book: Any) -> None:
    die(vhost_broker, [f"id-{number}" for number in range(5)])
    slept: list[float] = []
    at = time.monotonic()
    slow = Order(selection=Selection(), queues=("io",), per_second=10)
    letterbox.replay(vhost_broker.amqp_url, "io.dead", slow, book, clock=lambda: at + sum(slept), sleep=slept.append)
    assert sum(slept) == pytest.approx(0.4)
