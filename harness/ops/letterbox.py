"""A dead-letter queue at work: reading it, putting letters back, taking them out for good."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import amqp
from amqp.exceptions import AMQPError, MessageNacked
from kombu import Connection

from harness.broker.urls import parse_amqp
from harness.errors import HarnessError
from harness.ops.letters import Letter, Selection, decide, read
from harness.ops.replay_journal import ReplayJournal

ANSWER_SECONDS = 10.0
# RabbitMQ closes a channel that keeps a delivery for half an hour; long before that the queue is read anew.
SESSION_SECONDS = 600.0


class NotTakenError(Exception):
    """The broker has said that it does not take a message."""


@dataclass
class Replay:
    """What a replay has done so far. `held` are in doubt, `refused` says why it ended early."""

    replayed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    held: list[Letter] = field(default_factory=list)
    unroutable: list[Letter] = field(default_factory=list)
    refused: str = ""


class Letterbox:
    """One dead-letter queue on a connection of its own; closing it puts back in place whatever was only looked at.

    Every method raises HarnessError when the broker does not answer.
    """

    def __init__(self, connection: Any, dead_queue: str) -> None:
        self.dead_queue = dead_queue
        self._connection = connection
        self._returned = ""
        self._reading = connection.channel()
        self._reading.auto_decode = False  # bodies stay the bytes they are
        self._sending = connection.channel()
        self._sending.confirm_select()
        # With a handler, or py-amqp leaves the confirm unread that follows a return.
        self._sending.events["basic_return"].add(self._on_return)

    def letters(self) -> Iterator[tuple[Letter, int]]:
        """Yield what the queue holds now, oldest first, each with the tag that `remove` takes; at most once each."""
        with _broker_errors(f"reading {self.dead_queue}"):
            count = self._reading.queue_declare(self.dead_queue, passive=True).message_count
        for _ in range(count):
            with _broker_errors(f"reading {self.dead_queue}"):
                message = self._reading.basic_get(self.dead_queue, no_ack=False)
            if message is None:
                return
            letter = read(_bytes(message.body), message.properties, message.headers or {}, dead_queue=self.dead_queue)
            yield letter, message.delivery_info["delivery_tag"]

    def send(self, letter: Letter) -> None:
        """Publish a letter to the queue it died in. Raises NotTakenError when the broker says no."""
        properties, headers = letter.again()
        # Waiting begins anew, also for who looks at the oldest task.
        properties["timestamp"] = int(time.time())
        message = amqp.Message(letter.body, application_headers=headers, **properties)
        self._returned = ""
        with _broker_errors(f"putting task {letter.id} back"):
            try:
                self._sending.basic_publish_confirm(
                    message, exchange="", routing_key=letter.queue, mandatory=True, confirm_timeout=ANSWER_SECONDS
                )
            except MessageNacked as error:
                raise NotTakenError(f"queue {letter.queue} is full") from error
        if self._returned:
            raise NotTakenError(self._returned)

    def remove(self, tag: int) -> None:
        """Take a letter out for good."""
        with _broker_errors(f"removing from {self.dead_queue}"):
            self._reading.basic_ack(tag)

    def _on_return(self, error: Exception, _exchange: str, routing_key: str, _message: object) -> None:
        self._returned = f"there is no queue {routing_key} ({error})"


@contextlib.contextmanager
def opened(amqp_url: str, dead_queue: str) -> Iterator[Letterbox]:
    """Yield a dead-letter queue. Raises HarnessError where the broker does not answer or there is no such queue."""
    where = parse_amqp(amqp_url, source="the broker's URL").shown
    with Connection(amqp_url, connect_timeout=ANSWER_SECONDS, heartbeat=0) as connection:
        with _broker_errors(f"connecting to {where}"):
            connection.ensure_connection(max_retries=0, timeout=ANSWER_SECONDS, reraise_as_library_errors=False)
            connection.connection.transport.sock.settimeout(ANSWER_SECONDS)
            box = Letterbox(connection.connection, dead_queue)
        yield box


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to put back: letters of `selection`, `limit` at most, `per_second` at most.

    `queues` are those it may go to. With `in_doubt_too` also those that may have been put back before.
    """

    selection: Selection
    queues: Collection[str]
    limit: int | None = None
    per_second: float = 50.0
    in_doubt_too: bool = False


def replay(
    amqp_url: str,
    dead_queue: str,
    order: Order,
    journal: ReplayJournal,
    *,
    before: Callable[[Letter], None] = lambda letter: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
) -> Replay:
    """Put letters back where they died, each confirmed before it is removed here; what was done is returned.

    `before` is called with each letter that is about to go. A letter is written down before it is sent and after it is
    confirmed. One whose confirm never came is in doubt and is held back from then on. The first refusal ends it: a full
    queue would refuse the others too. Raises HarnessError when the broker goes away; what is done by then stands in the
    journal, and the next replay goes on from there.
    """
    done, due = Replay(), clock()
    while True:
        began, again = clock(), False
        done.held, done.unroutable = [], []
        with opened(amqp_url, dead_queue) as box:
            for letter, tag in box.letters():
                if _is_enough(done, order):
                    break
                if clock() - began > SESSION_SECONDS:
                    again = True
                    break
                if not order.selection.takes(letter):
                    continue
                verdict = decide(letter, journal.events, in_doubt_too=order.in_doubt_too)
                if verdict == "remove":
                    box.remove(tag)
                    done.removed.append(letter.id)
                elif verdict == "hold":
                    done.held.append(letter)
                elif letter.queue not in order.queues:
                    done.unroutable.append(letter)
                else:
                    before(letter)
                    sleep(max(due - clock(), 0.0))
                    due = max(due, clock()) + 1 / order.per_second
                    if not _put_back(box, letter, tag, journal, done, now):
                        break
        if not again:
            return done


def _is_enough(done: Replay, order: Order) -> bool:
    return order.limit is not None and len(done.replayed) >= order.limit


def _put_back(
    box: Letterbox, letter: Letter, tag: int, journal: ReplayJournal, done: Replay, now: Callable[[], float]
) -> bool:
    journal.note("intent", letter, at=now())
    try:
        box.send(letter)
    except NotTakenError as error:
        journal.note("refused", letter, at=now())
        done.refused = str(error)
        return False
    journal.note("confirmed", letter, at=now())
    box.remove(tag)
    done.replayed.append(letter.id)
    return True


def purge(amqp_url: str, dead_queue: str, selection: Selection, *, file: Path, limit: int | None = None) -> int:
    """Take letters out for good, each written whole to `file` first; return how many. Raises HarnessError."""
    removed = 0
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    with file.open("a", encoding="utf-8") as stream, opened(amqp_url, dead_queue) as box:
        for letter, tag in box.letters():
            if limit is not None and removed >= limit:
                break
            if selection.takes(letter):
                stream.write(json.dumps(kept(letter), default=str) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
                box.remove(tag)
                removed += 1
    return removed


def kept(letter: Letter) -> dict[str, Any]:
    """Return a whole letter as JSON has it: with it the message can be published again."""
    properties = {name: value for name, value in letter.properties.items() if name != "application_headers"}
    body = base64.b64encode(letter.body).decode()
    return {
        **letter.summary(with_args=True),
        "message": {"properties": properties, "headers": dict(letter.headers), "body": body},
    }


def _bytes(body: bytes | str) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)


@contextlib.contextmanager
def _broker_errors(doing: str) -> Iterator[None]:
    try:
        yield
    except (AMQPError, OSError) as error:
        if getattr(error, "reply_code", None) == 404:
            raise HarnessError(f"{doing}: the broker has no such queue: apply the release's topology") from error
        raise HarnessError(f"{doing}: the broker does not answer or refuses: {error}") from error
