"""A worker's connections to the broker, so that none of them waits for ever for a broker that hangs or has gone."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

from celery.utils.threads import bound_open_broker_sockets
from celery.worker import pidbox, state
from kombu import Connection

if TYPE_CHECKING:
    from celery.worker.consumer import Consumer

CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 5.0  # as long as Celery gives its main connection
READ_EVERY_SECONDS = 1.0  # often enough for heartbeats that come every few seconds
READ_SECONDS = 0.001  # not 0: py-amqp answers "nothing there" on a socket that does not wait by trying again for ever


class BoundedConnection(Connection):
    """A broker connection whose end does not wait for ever for the farewell of a broker that hangs."""

    def release(self) -> None:
        """Close, with a limit for the broker's answer."""
        bound_open_broker_sockets(self, CLOSE_SECONDS)
        super().release()

    close = release


class SafeConnections:
    """Consumer mixin: the connection for events must not hold up the one for tasks.

    Celery 5.7 makes both alike. With publisher confirms the worker's loop then waits for the broker at each event, so
    while a broker hangs the loop hangs too and cannot notice the missing heartbeats. And the loop of green pools reads
    the event connection for up to 0.1 s at every turn, to take in heartbeats: some ten tasks a second, whatever the
    concurrency, and sooner or later it takes the confirm for which another greenlet waits.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Have a limit for connecting on gevent too, where Celery removes it because of a gevent of long ago."""
        super().__init__(*arguments, **options)
        self.app.conf.broker_connection_timeout = CONNECT_SECONDS

    def connection_for_write(self, url: str | None = None, heartbeat: float | None = None) -> Connection:
        """Connect for events: without confirms, and read now and then what has come in.

        Who sends an event while the broker is away tries once and leaves it in the dispatcher's buffer: whoever tries
        on holds the dispatcher's lock, for which the worker waits before it is unready and connects again. A heartbeat
        asks for retries itself, and has one: it connects again where the broker closed this connection alone.
        """
        connection = self.app.connection_for_write(url=url, heartbeat=heartbeat)
        connection.transport_options = {**connection.transport_options, "confirm_publish": False, "max_retries": 0}
        connection.ensure = functools.partial(connection.ensure, max_retries=1)
        connection.drain_events = OccasionalRead(self, connection)
        connection.close = EventsEnd(self, connection)
        return self.ensure_connected(connection)

    def on_close(self) -> None:
        """At the worker's end, have nobody wait for a lock whose holder waits for the broker: Celery's steps would."""
        dispatcher = self.event_dispatcher
        if dispatcher is not None and (state.should_stop is not None or state.should_terminate is not None):
            if dispatcher.mutex.acquire(timeout=CLOSE_SECONDS):
                dispatcher.mutex.release()
            else:
                dispatcher.enabled = False  # the events of the end are lost
                dispatcher.connection.collect()
        super().on_close()


class BoundedControl(pidbox.gPidbox):
    """The remote control of green pools, whose end does not hold up the worker's reconnect for ever.

    Its greenlet has a connection of its own and may wait there for a broker that fell silent while it was being set up.
    """

    def on_stop(self) -> None:
        """Tell the greenlet to end; one that does not is left to its connection, and a new connection has a new one."""
        if self._node_stopped:
            self._node_shutdown.set()
            if not self._node_stopped.wait(CLOSE_SECONDS):
                self.consumer = self.node.channel = None  # closing them would wait for the same broker
            self._node_stopped = self._node_shutdown = None


class OccasionalRead:
    """Stands in for the event connection's `drain_events`, for which the caller asks at every turn of a busy loop.

    Whoever connects again or opens a channel there, holding the dispatcher's lock, waits for an answer. Read here, it
    is lost to him: py-amqp reads on, past all heartbeats, for another one that never comes.
    """

    def __init__(self, consumer: Consumer, connection: Connection) -> None:
        """Read `connection`, on which `consumer`'s dispatcher sends, at once the first time."""
        self.consumer = consumer
        self.connection = connection
        self.next_at = 0.0

    def __call__(self, timeout: float | None = None) -> None:
        """Take in what is there, unless somebody sends or it was done a moment ago; never wait, never connect."""
        now = time.monotonic()
        mutex = self.consumer.event_dispatcher.mutex
        if now >= self.next_at and self.connection.connected and mutex.acquire(blocking=False):
            self.next_at = now + READ_EVERY_SECONDS
            try:
                Connection.drain_events(self.connection, timeout=READ_SECONDS)
            finally:
                mutex.release()


class EventsEnd:
    """Stands in for the `close` of the connection for events, which Celery calls when it connects again or ends.

    Another greenlet or thread may be sending events on it just then. Told politely to close, py-amqp throws away the
    answer for which that one waits; it waits on, holding the dispatcher's lock, and the worker waits for the lock.
    """

    def __init__(self, consumer: Consumer, connection: Connection) -> None:
        """Close `connection`, on which `consumer`'s dispatcher sends."""
        self.consumer = consumer
        self.connection = connection

    def __call__(self) -> None:
        """Close politely once nobody sends; drop the connection under whoever is still at it after a while.

        What that one was sending goes back to the dispatcher's buffer.
        """
        dispatcher = self.consumer.event_dispatcher
        if dispatcher.mutex.acquire(timeout=CLOSE_SECONDS):
            dispatcher._closed = True  # nobody begins to send now
            dispatcher.mutex.release()
            type(self.connection).close(self.connection)
        else:
            self.connection.collect()
