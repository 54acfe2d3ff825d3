"""Connections to publish over: each carries one confirming channel and serves one thread or greenlet at a time."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from celery import Celery

# An idle connection may have been closed by the other side without our noticing, and a message sent into it would be
# one more that nobody confirms. After this long it is looked at before it is used.
CHECK_AFTER_SECONDS = 1.0


class NoLine(Exception):  # noqa: N818 - says what happened
    """No connection could be opened, or none came free in time; nothing was sent."""


class Line:
    """One connection to the broker with one channel in confirm mode.

    No wait on it is longer than `timeout_seconds`. Raises NoLine when it cannot be opened.
    """

    waits_for_each = True  # a publish returns when its confirm has come

    def __init__(self, app: Celery, *, timeout_seconds: float) -> None:
        self.returned: str | None = None  # why the broker handed the last message back
        self.queue: str | None = None  # where the last message went; None through an exchange that has a name
        self.used_at = time.monotonic()
        self._connection = app.connection_for_write(
            heartbeat=0,  # nobody reads an idle publisher's connection, so heartbeats would only end it
            connect_timeout=timeout_seconds,
            transport_options={
                "confirm_publish": self.waits_for_each,
                "client_properties": {"connection_name": "publisher"},
            },
        )
        try:
            self.producer = self._open(app, timeout_seconds)
        except self.errors as error:
            self.drop()
            raise NoLine(f"no connection to the broker: {error}") from error
        except BaseException:
            self.drop()
            raise

    @property
    def errors(self) -> tuple[type[BaseException], ...]:
        """What the transport raises when it or the broker fails."""
        return (*self._connection.connection_errors, *self._connection.channel_errors)

    @property
    def is_amqp(self) -> bool:
        """Whether the broker speaks AMQP; confirms exist nowhere else."""
        return bool(self._connection.transport.driver_type == "amqp")

    def _open(self, app: Celery, timeout_seconds: float) -> Any:
        connection = self._connection
        each_host_once = max(len(connection.alt), 1) - 1
        connection.ensure_connection(
            max_retries=each_host_once, interval_start=0, interval_step=0, reraise_as_library_errors=False
        )
        if self.is_amqp:
            # A limit for every read and write. SO_RCVTIMEO (py-amqp's read_timeout) would not do: gevent's sockets
            # never block in the kernel, and blocking ones read on after it.
            connection.connection.transport.sock.settimeout(timeout_seconds)
        channel = connection.channel()
        if self.is_amqp:
            # Without a handler py-amqp raises at the return and leaves the confirm that follows it unread, where the
            # next message would take it for its own.
            channel.events["basic_return"].add(self._on_return)
        self._prepare(channel)
        return app.amqp.Producer(channel, auto_declare=False)

    def _prepare(self, channel: Any) -> None:
        publish = channel.basic_publish

        def noted(message: object, **options: Any) -> Any:
            if self.queue is None:  # the task itself; Celery's event about it may follow
                self.queue = destination(options)
            return publish(message, **options)

        channel.basic_publish = noted

    def begin(self) -> None:
        """Forget the last message."""
        self.returned = self.queue = None

    def _on_return(self, error: Exception, exchange: str, routing_key: str, _message: Any) -> None:
        self.returned = no_queue(error, exchange, routing_key)

    def is_alive(self) -> bool:
        """Whether the connection and its channel stood a moment ago."""
        if not self._connection.connected or not getattr(self.producer.channel, "is_open", True):
            return False
        if not self.is_amqp or time.monotonic() - self.used_at < CHECK_AFTER_SECONDS:
            return True
        try:
            self._connection.drain_events(timeout=0)
        except TimeoutError:
            return True  # nothing to read: nobody has closed it
        except self.errors:
            return False
        return True

    def drop(self) -> None:
        """Close the socket without a word: a broker that is stuck would not answer a polite goodbye."""
        with contextlib.suppress(Exception):
            self._connection.collect(socket_timeout=0.1)


def destination(options: dict[str, Any]) -> str | None:
    """Return the queue that a publish names: through the default exchange the routing key is the queue."""
    return None if options["exchange"] else str(options["routing_key"])


def no_queue(error: Exception, exchange: str, routing_key: str) -> str:
    """Return the reason for a message that the broker handed back."""
    return f"no queue for routing key {routing_key!r} of exchange {exchange!r} ({error})"


L = TypeVar("L", bound=Line)


class LinePool(Generic[L]):
    """At most `limit` lines, opened when needed and kept for reuse. Safe under threads, greenlets and fork."""

    def __init__(self, kind: Callable[..., L], app: Celery, *, limit: int, timeout_seconds: float) -> None:
        if limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        self._kind = kind
        self._app = app
        self._limit = limit
        self._timeout_seconds = timeout_seconds
        self._free: list[L] = []
        self._inherited: list[L] = []  # of the process we were forked from; kept so that nothing closes them
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._inherited += self._free
        self._free = []
        self._slots = threading.BoundedSemaphore(self._limit)

    @contextlib.contextmanager
    def line(self, *, keep: tuple[type[BaseException], ...] = ()) -> Iterator[L]:
        """Yield a line for the block's sole use; an error that leaves the block drops it unless it is one of `keep`.

        Raises NoLine.
        """
        if self._pid != os.getpid():
            self._start()
        slots = self._slots
        if not slots.acquire(timeout=self._timeout_seconds):
            raise NoLine(f"all {self._limit} connections were busy for {self._timeout_seconds:g} s")
        try:
            line = self._take()
            try:
                yield line
            except keep:
                self._put(line)
                raise
            except BaseException:  # a killed greenlet too: its confirm may still be on the way
                line.drop()
                raise
            self._put(line)
        finally:
            slots.release()

    def _take(self) -> L:
        while True:
            try:
                line = self._free.pop()
            except IndexError:
                return self._kind(self._app, timeout_seconds=self._timeout_seconds)
            if line.is_alive():
                return line
            line.drop()

    def _put(self, line: L) -> None:
        line.used_at = time.monotonic()
        self._free.append(line)

    def close(self) -> None:
        """Drop the lines nobody uses at the moment."""
        while self._free:
            self._free.pop().drop()
