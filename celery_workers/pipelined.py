"""Connections whose messages are confirmed later, many under way at once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from amqp import spec

from celery_workers.confirms import Confirms
from celery_workers.lines import Line, destination, no_queue


class Sent(Protocol):
    """What a pipelined line is told about a message it carries."""

    @property
    def task_id(self) -> str:
        """The task's id, which its message has as correlation id."""

    returned: str | None
    queue: str | None


S = TypeVar("S", bound=Sent)


class PipelinedLine(Line, Generic[S]):
    """A line whose messages are confirmed later. `confirms` holds what is unanswered.

    Answers are read by `read` only, by the one who sends.
    """

    waits_for_each = False

    def _prepare(self, channel: Any) -> None:
        self.confirms: Confirms[S] = Confirms()
        self._item: S | None = None
        self._answers: list[tuple[S, bool]] = []
        if self.is_amqp:
            channel.confirm_select()
            channel.events["basic_ack"].add(lambda tag, multiple: self._on_answer(tag, multiple, accepted=True))
            channel.events["basic_nack"].add(lambda tag, multiple: self._on_answer(tag, multiple, accepted=False))
        publish = self._publish(channel)

        def noted(message: object, **options: Any) -> Any:
            item, self._item = self._item, None  # Celery's event about a task is a message of its own, with its own tag
            self.confirms.sent(item)
            if item is not None:
                item.queue = destination(options)
            return publish(message, options)

        channel.basic_publish = noted

    def _publish(self, channel: Any) -> Callable[[object, dict[str, Any]], Any]:
        if not self.is_amqp:
            send = channel.basic_publish
            return lambda message, options: send(message, **options)

        # Not py-amqp's own basic_publish: it looks for the broker's words before each message, with a read that spins
        # for ever when a connection falls silent in the middle of a frame.
        def publish(message: object, options: dict[str, Any]) -> Any:
            arguments = (0, options["exchange"], options["routing_key"], options["mandatory"], False)
            return channel.send_method(spec.Basic.Publish, "Bssbb", arguments, message)

        return publish

    def start(self, item: S) -> None:
        """The next message is the one of `item`."""
        self._item = item

    @property
    def started(self) -> bool:
        """Whether the item of `start` has gone out, or may have."""
        return self._item is None

    def read(self, timeout_seconds: float) -> None:
        """Wait for one word of the broker; `answers` says what it was.

        Raises one of `errors` when the connection or its channel is lost.
        """
        if not self.is_amqp:  # nobody confirms: what was sent is there
            self._answers += [(item, True) for item in self.confirms.take_all()]
            return
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
