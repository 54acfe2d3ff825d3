"""Connections whose messages are confirmed later, many under way at once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from amqp import spec
from amqp.exceptions import RecoverableConnectionError
from amqp.method_framing import frame_writer

from celery_workers.confirms import Confirms
from celery_workers.lines import Line, destination, no_queue
from celery_workers.stencils import METHOD, Where

# Frames that wait to be written together, at most; some 30 tasks. Each write wakes the broker up.
TOGETHER_BYTES = 32_768


class Sent(Protocol):
    """What a pipelined line is told about a message it carries."""

    @property
    def task_id(self) -> str:
        """The task's id, which its message has as correlation id."""

    returned: str | None
    queue: str | None


S = TypeVar("S", bound=Sent)


@dataclass(frozen=True, slots=True)
class Carried:
    """A task's message as Celery built it: its properties, its way, and the frames it became."""

    properties: Mapping[str, Any]
    where: Where
    frames: bytes


class _Frames:
    """Frames on their way; to py-amqp's writer it is the transport."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size_bytes = 0

    def write(self, frames: bytes | memoryview) -> None:
        self._parts.append(bytes(frames))
        self.size_bytes += len(frames)

    def take(self) -> bytes:
        frames = b"".join(self._parts)
        self._parts.clear()
        self.size_bytes = 0
        return frames


class PipelinedLine(Line, Generic[S]):
    """A line whose messages are confirmed later. `confirms` holds what is unanswered.

    Answers are read by `read` only, by the one who sends. What is sent may wait for more to be written with it, until
    `flush`.
    """

    waits_for_each = False

    def _prepare(self, channel: Any) -> None:
        self.confirms: Confirms[S] = Confirms()
        self.carried: Carried | None = None  # the last task's message that Celery built
        self._item: S | None = None
        self._answers: list[tuple[S, bool]] = []
        self._frames = _Frames()
        self._channel = channel
        if self.is_amqp:
            self._transport = channel.connection.transport
            channel.confirm_select()
            channel.events["basic_ack"].add(lambda tag, multiple: self._on_answer(tag, multiple, accepted=True))
            channel.events["basic_nack"].add(lambda tag, multiple: self._on_answer(tag, multiple, accepted=False))
        publish = self._publish(channel)

        def noted(message: object, **options: Any) -> Any:
            return publish(self._note(destination(options)), message, options)

        channel.basic_publish = noted

    def _note(self, queue: str | None) -> S | None:
        item, self._item = self._item, None  # Celery's event about a task is a message of its own, with its own tag
        self.confirms.sent(item)
        if item is not None:
            item.queue = queue
        return item

    def _publish(self, channel: Any) -> Callable[[S | None, Any, dict[str, Any]], Any]:
        if not self.is_amqp:
            send = channel.basic_publish
            return lambda _item, message, options: send(message, **options)

        # Not py-amqp's own basic_publish: it looks for the broker's words before each message, with a read that spins
        # for ever when a connection falls silent in the middle of a frame.
        built = _Frames()
        write_frame = frame_writer(channel.connection, built)

        def publish(item: S | None, message: Any, options: dict[str, Any]) -> None:
            where = Where(
                channel.channel_id,
                channel.connection.frame_max,
                options["exchange"],
                options["routing_key"],
                options["mandatory"],
            )
            write_frame(METHOD, where.channel_id, spec.Basic.Publish, where.arguments(), message)
            frames = built.take()
            if item is not None:
                self.carried = Carried(message.properties, where, frames)
            self._write(frames)

        return publish

    def send(self, frames: bytes, queue: str | None) -> None:
        """Send the frames of the message of `start`; Celery has no part in it. `queue` is where it goes."""
        self._note(queue)
        self._write(frames)

    def _write(self, frames: bytes) -> None:
        self._frames.write(frames)
        if self._frames.size_bytes >= TOGETHER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits to be written. Raises one of `errors` when the connection or its channel is lost."""
        if self._frames.size_bytes:
            if self._channel.connection is None:
                raise RecoverableConnectionError("connection already closed")
            self._transport.write(self._frames.take())

    def start(self, item: S) -> None:
        """The next message is the one of `item`."""
        self._item = item

    @property
    def started(self) -> bool:
        """Whether the item of `start` has gone out, or may have."""
        return self._item is None

    def read(self, timeout_seconds: float) -> None:
        """Write what waits, and wait for one word of the broker; `answers` says what it was.

        Raises one of `errors` when the connection or its channel is lost.
        """
        if not self.is_amqp:  # nobody confirms: what was sent is there
            self._answers += [(item, True) for item in self.confirms.take_all()]
            return
        self.flush()
        with contextlib.suppress(TimeoutError):
            self._connection.drain_events(timeout=timeout_seconds)
        self.used_at = time.monotonic()

    def answers(self) -> list[tuple[S, bool]]:
        """Return what was answered since the last call, and whether it was accepted."""
        answers, self._answers = self._answers, []
        return answers

    def _on_answer(self, tag: int, multiple: bool, *, accepted: bool) -> None:
        self._answers += [(item, accepted) for item in self.confirms.answered(tag, multiple=bool(multiple))]

    def _on_return(self, error: Exception, exchange: str, routing_key: str, message: Any) -> None:
        # It comes before the confirm of its message, but others may come between the two.
        task_id = message.properties.get("correlation_id")
        item = self.confirms.oldest(lambda one: one.task_id == task_id and one.returned is None)
        if item is not None:
            item.returned = no_queue(error, exchange, routing_key)
