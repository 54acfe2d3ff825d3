"""What the exporter reads from the broker: the workers' events, and dead letters. Each on a connection of its own."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery.events.event import get_exchange
from celery_workers_letters import HEADER, notes_queue
from celery_workers_tally import death_of
from kombu import Exchange, Queue, binding, uuid
from kombu.mixins import ConsumerMixin
from kombu.utils.limits import TokenBucket

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping

    from celery import Celery
    from celery_workers_tally import Tally
    from kombu import Connection

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10
CONNECT_SECONDS = 10.0
BEAT_EVERY_SECONDS = 2.0
AGAIN_SECONDS = 5.0  # after a refusal, as of an exchange that the topology Job has not made yet
# Events and notes that wait for us: more than that, and the oldest go. Nobody else may suffer for our being slow.
MOST_EVENTS = 100_000
MOST_LETTERS = 10_000
MOST_LETTER_BYTES = 32 * 1024 * 1024
LETTERS_EXPIRE_SECONDS = 600  # letters of that long ago are still counted after a restart of ours


class Feed(ConsumerMixin):
    """A connection that is taken up again whenever it ends. Subclasses say what they read."""

    def __init__(self, app: Celery, tally: Tally, lock: threading.Lock) -> None:
        """Tell `tally`, holding `lock`."""
        self.restart_limit = TokenBucket(1 / AGAIN_SECONDS)
        self.connection: Connection = app.connection_for_read(
            heartbeat=HEARTBEAT_SECONDS, connect_timeout=CONNECT_SECONDS
        )
        self.tally = tally
        self.lock = lock
        self.beat_at = 0.0

    def on_connection_error(self, exc: Exception, interval: float) -> None:
        """Say so; the text of the error may hold no URL."""
        self.lost()
        logger.warning("the broker does not answer (%s), again in %.0f s", type(exc).__name__, interval)

    def on_iteration(self) -> None:
        """Keep the connection alive: kombu does it in quiet seconds only."""
        now = time.monotonic()
        if now - self.beat_at >= BEAT_EVERY_SECONDS:
            self.beat_at = now
            self.beat()

    def beat(self) -> None:
        """Do what is due every few seconds, in the loop."""
        self._live.heartbeat_check()

    def consume(self, *arguments: Any, **options: Any) -> Any:
        """Read until the connection ends, or the broker refuses something."""
        try:
            yield from super().consume(*arguments, **options)
        except (*self.connection.connection_errors, *self.connection.channel_errors) as error:
            logger.warning("%s: %s: %s", type(self).__name__, type(error).__name__, error)
            raise
        finally:
            self.lost()

    @contextlib.contextmanager
    def establish_connection(self) -> Iterator[Connection]:
        """Connect, however long it takes; kombu would wait half a minute between two attempts."""
        with self.connection.clone() as connection:
            connection.ensure_connection(
                self.on_connection_error,
                max_retries=None,
                interval_start=1,
                interval_step=1,
                interval_max=AGAIN_SECONDS,
            )
            yield connection

    def on_consume_ready(self, connection: Connection, channel: Any, consumers: Any, **options: Any) -> None:
        """Remember the connection that lives: kombu's loop works on a clone."""
        self._live = connection

    def lost(self) -> None:
        """Note that nothing comes."""


class Events(Feed):
    """The workers' events, and the exporter's own sign of life."""

    up = False

    def get_consumers(self, Consumer: Any, channel: Any) -> list[Any]:  # noqa: N803 -- kombu's name
        """Declare a queue of our own; it goes with the connection."""
        queue = Queue(
            f"celeryev.{uuid()}",
            exchange=get_exchange(channel.connection.client),
            routing_key="#",
            durable=False,
            exclusive=True,
            auto_delete=True,
            max_length=MOST_EVENTS,
        )
        return [Consumer(queues=[queue], on_message=self.read, no_ack=True)]

    def on_consume_ready(self, connection: Connection, channel: Any, consumers: Any, **options: Any) -> None:
        """Note that events come."""
        super().on_consume_ready(connection, channel, consumers, **options)
        self.up = True
        with self.lock:
            self.tally.connected(time.monotonic())
        logger.info("reading events")

    def lost(self) -> None:
        """Note that none come."""
        self.up = False
        with self.lock:
            self.tally.disconnected()

    def beat(self) -> None:
        """Touch the file that the liveness probe looks at, too."""
        super().beat()
        touch("heartbeat")

    def read(self, message: Any) -> None:
        """Count the events of one message, which has one or a list."""
        try:
            found = json.loads(message.body)
        except ValueError:
            return  # not one of ours
        now = time.monotonic()
        with self.lock:
            for event in found if isinstance(found, list) else [found]:
                self.tally.event(event, now)


class Letters(Feed):
    """Dead letters: RabbitMQ's own through the dead-letter exchange, and the notes workers make of theirs.

    They come to a queue of ours, bounded and let go of when nobody reads it; the dead-letter queues keep theirs.
    """

    def __init__(self, app: Celery, tally: Tally, lock: threading.Lock, topology: Mapping[str, Any]) -> None:
        """Watch the topology's dead-letter exchange."""
        super().__init__(app, tally, lock)
        self.topology = topology

    def get_consumers(self, Consumer: Any, channel: Any) -> list[Any]:  # noqa: N803 -- kombu's name
        """Declare the queue and bind it beside every dead-letter queue."""
        exchange = Exchange(self.topology["dead_letter_exchange"], type="direct", durable=True, no_declare=True)
        dead = sorted({queue["dead_letter_queue"] for queue in self.topology["queues"].values()} - {None})
        queue = Queue(
            notes_queue(self.topology),
            bindings=[binding(exchange, routing_key=name) for name in dead],
            # Durable and not exclusive, as RabbitMQ 4.3 wants it of a queue that others know by name.
            durable=True,
            max_length=MOST_LETTERS,
            max_length_bytes=MOST_LETTER_BYTES,
            expires=LETTERS_EXPIRE_SECONDS,
        )
        return [Consumer(queues=[queue], on_message=self.read, no_ack=True)]

    def on_consume_ready(self, connection: Connection, channel: Any, consumers: Any, **options: Any) -> None:
        """Have the series there from now on."""
        super().on_consume_ready(connection, channel, consumers, **options)
        with self.lock:
            self.tally.watches_letters()
        logger.info("watching dead letters")

    def read(self, message: Any) -> None:
        """Count one."""
        headers = dict(message.headers or {})
        if message.delivery_info.get("exchange"):
            headers.pop(HEADER, None)  # of an earlier life: what RabbitMQ moves it has something to say of itself
        death = death_of(headers, HEADER)
        if death is not None:
            with self.lock:
                self.tally.letter(*death)


def touch(name: str) -> None:
    """Set the time of a file in the state directory, where there is one."""
    directory = os.environ.get("CELERY_WORKERS_STATE_DIR")
    if directory:
        Path(directory, name).touch()
