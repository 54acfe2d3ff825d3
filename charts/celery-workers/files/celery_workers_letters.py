"""Dead letters with their reason: a worker puts what it gives up into the dead-letter queue itself.

The copy has the header HEADER = {"queue", "reason": failed | timeout | poison | refused | unknown, "error": a short
text, "at": seconds since the epoch}. It is confirmed before the message is acknowledged: what happens in between leaves
two, never none, which is more than RabbitMQ promises for a dead letter of a classic queue. Where it does not work
within SECONDS, the message is rejected, and RabbitMQ moves it without the header.

Of each letter that was stored a note goes to the exporter, its header alone, where there is one that counts them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import amqp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from celery import Celery
    from celery_workers_redis import Shared

logger = logging.getLogger(__name__)

HEADER = "x-celery-workers-death"
FAILED, TIMEOUT, POISON, REFUSED, UNKNOWN = "failed", "timeout", "poison", "refused", "unknown"
SECONDS = 2.0  # for each wait: connecting, sending, the confirm
QUIET_SECONDS = 30.0  # after a failure RabbitMQ moves them, so that a worker does not stand still over each
CHECK_AFTER_SECONDS = 1.0  # idle this long, the other side may have closed the connection without our noticing
ERROR_CHARACTERS = 300
# What RabbitMQ has written about an earlier life, and kombu about a body that it has unpacked meanwhile.
OLD_HEADERS = ("x-death", "x-delivery-count", "compression")
OLD_PREFIXES = ("x-first-death-", "x-last-death-")


class NotStoredError(Exception):
    """The broker has not confirmed the copy."""


class DeadLetters:
    """Puts messages into the dead-letter queues of a topology, on a connection of its own. Safe under greenlets."""

    def __init__(self, app: Celery, topology: Mapping[str, Any], clock: Callable[[], float] = time.monotonic) -> None:
        """Connect when the first message comes."""
        self.app = app
        self.queues = {
            name: queue["dead_letter_queue"]
            for name, queue in topology["queues"].items()
            if queue.get("dead_letter_queue")
        }
        self.notes = notes_queue(topology)
        self.clock = clock
        self.lock = threading.Lock()
        self.connection: Any = None
        self.channel: Any = None
        self.inherited: Any = None  # of the process we were forked from; kept so that nothing closes it
        self.pid = os.getpid()
        self.returned = ""
        self.used_at = 0.0
        self.quiet_until = 0.0

    def put(self, message: Any, reason: str, error: str = "") -> bool:
        """Store a copy of a message that was delivered; whether the broker has confirmed it."""
        queue = message.delivery_info.get("routing_key") or ""
        if queue not in self.queues or message.errors:
            return False
        return self.store(queue, make_copy(message, make_death(queue, reason, error, time.time())))

    def store(self, queue: str, copy: amqp.Message) -> bool:
        """Put a message into a queue's dead-letter queue; whether the broker has confirmed it."""
        if queue not in self.queues:
            return False
        with self.lock:
            if self.clock() < self.quiet_until:
                return False
            try:
                self._send(copy, self.queues[queue])
            except (OSError, amqp.exceptions.AMQPError, NotStoredError) as failure:
                self._drop()
                self.quiet_until = self.clock() + QUIET_SECONDS
                logger.warning("dead letters go without their reason for %.0f s: %s", QUIET_SECONDS, failure)
                return False
            self._tell(copy)
        return True

    def _tell(self, copy: amqp.Message) -> None:
        """Have the exporter count it. Without one the note goes nowhere, and a lost one costs a count, no letter."""
        note = amqp.Message(b"", application_headers={HEADER: copy.properties["application_headers"][HEADER]})
        try:
            self.channel.basic_publish(note, exchange="", routing_key=self.notes)
        except (OSError, amqp.exceptions.AMQPError):
            self._drop()

    def _send(self, copy: amqp.Message, queue: str) -> None:
        if not self._is_open():
            self._open()
        self.returned = ""
        # The default exchange: whoever may publish tasks may publish there.
        self.channel.basic_publish(copy, exchange="", routing_key=queue, mandatory=True)
        self.used_at = self.clock()
        if self.returned:
            raise NotStoredError(self.returned)

    def _is_open(self) -> bool:
        if self.pid != os.getpid():  # the parent's connection stays its own
            self.inherited, self.connection, self.channel = self.connection, None, None
            return False
        if self.channel is None or not self.channel.is_open:
            return False
        if self.clock() - self.used_at < CHECK_AFTER_SECONDS:
            return True
        try:
            self.connection.drain_events(timeout=0.001)
        except TimeoutError:
            return True  # nothing to read: nobody has closed it
        except (OSError, amqp.exceptions.AMQPError):
            return False
        return True

    def _open(self) -> None:
        self._drop()
        self.pid = os.getpid()
        self.connection = self.app.connection_for_write(
            heartbeat=0,  # nobody would answer them between two dead letters
            connect_timeout=SECONDS,
            transport_options={"confirm_publish": True},
        )
        self.connection.ensure_connection(
            max_retries=max(len(self.connection.alt), 1) - 1,
            interval_start=0,
            interval_step=0,
            reraise_as_library_errors=False,
            timeout=SECONDS,
        )
        self.connection.connection.transport.sock.settimeout(SECONDS)
        self.channel = self.connection.channel()
        # With a handler, or py-amqp leaves the confirm unread that follows a return.
        self.channel.events["basic_return"].add(self._on_return)

    def _on_return(self, error: Exception, *details: object) -> None:
        self.returned = f"the dead-letter queue is not there ({error})"

    def _drop(self) -> None:
        connection, self.connection, self.channel = self.connection, None, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.collect(socket_timeout=0.1)


def notes_queue(topology: Mapping[str, Any]) -> str:
    """Return the name of the queue in which a release's exporter counts dead letters."""
    return f"celery_workers.letters.{topology['release']}"


def make_death(queue: str, reason: str, error: str, now: float) -> dict[str, Any]:
    """Return the header's value. `now` is epoch seconds."""
    return {"queue": queue, "reason": reason, "error": error[:ERROR_CHARACTERS], "at": int(now)}


def make_copy(message: Any, death: Mapping[str, Any]) -> amqp.Message:
    """Return the message as it was published, with its death and without a time to live."""
    headers = {
        name: value
        for name, value in message.headers.items()
        if name not in OLD_HEADERS and not name.startswith(OLD_PREFIXES)
    }
    properties = {key: value for key, value in message.properties.items() if key not in ("expiration", "user_id")}
    return amqp.Message(message.body, **{**properties, "application_headers": {**headers, HEADER: dict(death)}})


class PoisonGuard:
    """Counts how often a task comes back because its worker was lost, where the queue does not count itself."""

    def __init__(self, topology: Mapping[str, Any], shared: Shared) -> None:
        """Count in `shared`, against the limits of the topology's classic queues."""
        self.shared = shared
        self.limits = {
            name: queue["max_deliveries"]
            for name, queue in topology["queues"].items()
            if queue.get("max_deliveries") and queue["type"] == "classic"
        }

    def verdict(self, message: Any) -> str | None:
        """Return why a message is not to be tried again, None for one that may be. Asks Redis only for a redelivery."""
        limit = self.limits.get(message.delivery_info.get("routing_key"))
        task_id = message.headers.get("id") if message.headers else None
        if not limit or not task_id or not message.delivery_info.get("redelivered"):
            return None
        deliveries = self.shared.count_redelivery(task_id) + 1
        return f"delivered {deliveries - 1} times, and each time its worker was lost" if deliveries > limit else None

    def given_back(self, message: Any) -> None:
        """Leave the next redelivery out of the count: the task itself asked for it, no worker was lost."""
        if message.delivery_info.get("routing_key") in self.limits and message.headers and message.headers.get("id"):
            self.shared.count_redelivery(message.headers["id"], by=-1)


class KeepsLetters:
    """Consumer mixin: what a worker gives up is a dead letter with a reason. Set `letters` and `guard` in the class."""

    letters: DeadLetters
    guard: PoisonGuard

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Any], None]:
        """Return Celery's handler of a message, with a look at each before and a letter in reserve."""
        handle = super().create_task_handler(*arguments, **options)

        def on_task_received(message: Any) -> None:
            letter = message.reject = Letter(message, self.letters, self.guard)
            poison = self.guard.verdict(message)
            if poison is None:
                handle(message)
                return
            logger.error("task %s is poison: %s", message.headers["id"], poison)
            letter.note(POISON, poison)
            message.reject_log_error(logger, self.connection_errors)

        return on_task_received

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Keep a message that nobody can read, which Celery itself acknowledges."""
        logger.critical("a message cannot be read: %r", exc)
        message.reject_log_error(logger, self.connection_errors)


class Letter:
    """Stands in for a message's `reject`: what is not to come again is stored with its reason, then acknowledged."""

    def __init__(self, message: Any, letters: DeadLetters, guard: PoisonGuard) -> None:
        """Take over from the message's own."""
        self.message = message
        self.letters = letters
        self.guard = guard
        self.by_itself = False  # whether the task asked to come again
        self.reject = message.reject
        self.reason = UNKNOWN
        self.error = "no task of that name"

    def note(self, reason: str, error: str) -> None:
        """Say why the message will be given up, if it will."""
        self.reason, self.error = reason, error

    def __call__(self, requeue: bool = False) -> None:
        """Reject the message, for good unless it is to come again."""
        if not requeue and not self.message.acknowledged and self.letters.put(self.message, self.reason, self.error):
            self.message.ack()
            return
        if requeue and self.by_itself:
            self.guard.given_back(self.message)
        self.reject(requeue=requeue)
