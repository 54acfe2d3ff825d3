"""Offering tasks to the broker and knowing what became of each."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from amqp.exceptions import ChannelError, MessageNacked, NotFound
from celery import Celery, Task, uuid
from kombu.exceptions import OperationalError

from celery_workers.backoff import Backoff, Uniform
from celery_workers.counters import Counters
from celery_workers.errors import PublishError, QueueFull, Unconfirmed, Unreachable, Unroutable
from celery_workers.lines import Line, LinePool, NoLine
from celery_workers.topology import Topology

DEFAULT_CONNECTIONS = 10  # Celery's own broker_pool_limit


class Publisher:
    """Publishes tasks of one Celery app, each confirmed by the broker.

    It declares nothing: a queue that is not there is an Unroutable error, and a queue exists once a worker or the
    chart's topology Job has made it. Routes are the app's own. Safe under threads, greenlets and fork.

    `timeout_seconds` bounds each wait of one attempt: for a free connection, for connecting, for the confirm.
    `connections` is how many may be open at once (default: the app's broker_pool_limit). `topology` says which queues
    store what they refuse (default: the file the chart mounts).
    """

    def __init__(
        self,
        app: Celery,
        *,
        topology: Topology | None = None,
        timeout_seconds: float = 10.0,
        connections: int | None = None,
        backoff: Backoff | None = None,
        rng: Uniform | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.app = app
        self.counters = Counters()
        self.backoff = backoff or Backoff()
        self._topology = Topology.from_environment() if topology is None else topology
        self._timeout_seconds = timeout_seconds
        self._rng = rng or random.Random()
        self._clock = clock
        self._sleep = sleep
        limit = connections or app.conf.broker_pool_limit or DEFAULT_CONNECTIONS
        self._lines = LinePool(app, limit=limit, timeout_seconds=timeout_seconds)

    def publish(
        self,
        task: str | Task,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        deadline_seconds: float = 30.0,
        **options: Any,
    ) -> str:
        """Offer a task until the broker has it; return its id.

        A full queue, a lost connection and a missing answer are waited out with `backoff`, always under the same id.
        No attempt starts later than `deadline_seconds` after the call; the last one may run for its own timeout
        beyond. Raises the last attempt's error, but Unconfirmed when any attempt may have reached the queue; at once
        for QueueFull with `stored`, for Unroutable and for a forbidden message. `options` are those of `send_task`.
        """
        task_id = task_id or uuid()
        ends_at = self._clock() + deadline_seconds
        doubt: Unconfirmed | None = None
        for attempt in itertools.count(1):
            try:
                return self.attempt(task, args=args, kwargs=kwargs, task_id=task_id, **options)
            except PublishError as error:
                doubt = error if isinstance(error, Unconfirmed) else doubt
                delay_seconds = self.backoff.delay_seconds(attempt, self._rng)
                if not may_retry(error) or self._clock() + delay_seconds > ends_at:
                    raise self._given_up(error, doubt, attempt) from error.__cause__
            self._sleep(delay_seconds)
            self.counters.add("retried")
        raise AssertionError("itertools.count ends only by return or raise")

    def _given_up(self, error: PublishError, doubt: Unconfirmed | None, attempt: int) -> PublishError:
        self.counters.add("gave_up")
        final = error if doubt is None else doubt
        final.attempts = attempt
        return final

    def attempt(
        self,
        task: str | Task,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        **options: Any,
    ) -> str:
        """Offer a task once; return its id when the broker confirmed it. Raises a PublishError otherwise."""
        message = _Message(self.app, task, args, kwargs or {}, task_id or uuid(), options)
        try:
            with self._lines.line(keep=(QueueFull, Unroutable)) as line:
                self._send(line, message)
        except NoLine as error:
            self.counters.add("unreachable")
            raise message.error(Unreachable, str(error)) from error
        except PublishError as error:
            self.counters.add(_COUNTED_AS.get(type(error), "forbidden"))
            if isinstance(error, QueueFull) and error.stored:
                self.counters.add("refused_stored")
            raise
        self.counters.add("accepted")
        return message.task_id

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._lines.close()

    def _send(self, line: Line, message: _Message) -> None:
        line.returned = None
        try:
            self.app.send_task(
                message.name,
                args=message.args,
                kwargs=message.kwargs,
                task_id=message.task_id,
                producer=line.producer,
                retry=False,  # Celery's own retry opens a new connection for every refusal
                declare=(),
                mandatory=True,
                confirm_timeout=self._timeout_seconds,
                **message.options,
            )
        except OperationalError as error:  # what Celery makes of most transport errors
            cause = error.__cause__ or error
            raise self._verdict(cause, message) from cause
        except line.errors as error:
            raise self._verdict(error, message) from error
        if line.returned is not None:
            raise message.error(Unroutable, line.returned)

    def _verdict(self, cause: BaseException, message: _Message) -> PublishError:
        if isinstance(cause, MessageNacked):
            queue = message.queue()
            stored = queue in self._topology.stores_refused
            reason = "full; kept in its dead-letter queue" if stored else "full"
            return QueueFull(reason, task=message.name, task_id=message.task_id, queue=queue, stored=stored)
        if isinstance(cause, NotFound):  # the exchange; the broker has closed the channel
            return message.error(Unroutable, str(cause))
        if isinstance(cause, ChannelError):
            return message.error(PublishError, f"forbidden by the broker: {cause}")
        return message.error(Unconfirmed, f"no answer from the broker: {cause or type(cause).__name__}")


_COUNTED_AS: Mapping[type[PublishError], str] = {
    QueueFull: "refused",
    Unroutable: "unroutable",
    Unconfirmed: "unconfirmed",
}


class _Message:
    """One task as it is offered."""

    __slots__ = ("app", "args", "kwargs", "name", "options", "task", "task_id")

    def __init__(
        self,
        app: Celery,
        task: str | Task,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        task_id: str,
        options: dict[str, Any],
    ) -> None:
        self.app = app
        self.task = task
        self.name = task if isinstance(task, str) else task.name
        self.args = args
        self.kwargs = kwargs
        self.task_id = task_id
        self.options = options

    def queue(self) -> str:
        """Where the app's router sends it; worked out only when an error has to name it."""
        task = self.app.tasks.get(self.name) if isinstance(self.task, str) else self.task
        options = dict(self.options)
        if getattr(task, "queue", None):
            options.setdefault("queue", task.queue)
        route = self.app.amqp.router.route(options, self.name, self.args, self.kwargs, task)
        queue = route.get("queue")
        if hasattr(queue, "for_task"):  # a route on its way to another queue
            queue = queue.for_task(self.task_id)
        return str(getattr(queue, "name", queue) or route.get("routing_key") or "")

    def error(self, kind: type[PublishError], reason: str) -> PublishError:
        return kind(reason, task=self.name, task_id=self.task_id, queue=self.queue())


def may_retry(error: PublishError) -> bool:
    """Whether offering the same task again can help, and does not make a second copy on purpose."""
    if isinstance(error, QueueFull):
        return not error.stored
    return isinstance(error, Unconfirmed | Unreachable)
