"""Offering tasks to the broker and knowing what became of each."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from celery import Celery, Signature, Task, uuid
from kombu.exceptions import OperationalError

from celery_workers.backoff import Backoff, Uniform
from celery_workers.bulk import Bulk, BulkLines, BulkSettings, patience_seconds
from celery_workers.calls import TaskCall
from celery_workers.counters import QueueCounters, counted_as
from celery_workers.errors import PublishError, QueueFull, Unconfirmed, Unreachable, Unroutable, may_retry
from celery_workers.lines import Line, LinePool, NoLine
from celery_workers.messages import Message
from celery_workers.outcomes import Outcome
from celery_workers.pipelined import PipelinedLine
from celery_workers.topology import Topology
from celery_workers.whenfull import Wait, WhenFull, checked

__all__ = ["DEFAULT_CONNECTIONS", "Publisher", "may_retry"]

DEFAULT_CONNECTIONS = 10  # Celery's own broker_pool_limit


class Publisher:
    """Publishes tasks of one Celery app, each confirmed by the broker.

    It declares nothing: a queue that is not there is an Unroutable error, and a queue exists once a worker or the
    chart's topology Job has made it. Routes are the app's own. Safe under threads, greenlets and fork.

    `timeout_seconds` bounds each wait of one attempt: for a free connection, for connecting, for the confirm.
    `connections` is how many may be open at once for `publish`, and as many again for `publish_many` (default: the
    app's broker_pool_limit). `topology` says which queues store what they refuse (default: the file the chart mounts).
    `when_full` is the choice of calls that do not make their own.
    """

    def __init__(
        self,
        app: Celery,
        *,
        topology: Topology | None = None,
        timeout_seconds: float = 10.0,
        connections: int | None = None,
        backoff: Backoff | None = None,
        when_full: WhenFull | None = None,
        rng: Uniform | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.app = app
        self.backoff = backoff or Backoff()
        self._topology = Topology.from_environment() if topology is None else topology
        self.counters = QueueCounters(sorted(self._topology.queues or _declared_queues(app)))
        self._timeout_seconds = timeout_seconds
        self._when_full = checked(Wait() if when_full is None else when_full)
        self._rng = rng or random.Random()
        self._clock = clock
        self._sleep = sleep
        limit = connections or app.conf.broker_pool_limit or DEFAULT_CONNECTIONS
        self._lines = LinePool(Line, app, limit=limit, timeout_seconds=timeout_seconds)
        self._bulk_lines: BulkLines = LinePool(PipelinedLine, app, limit=limit, timeout_seconds=timeout_seconds)

    @property
    def topology(self) -> Topology:
        """What it knows of the queues."""
        return self._topology

    def publish(
        self,
        task: str | Task,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        deadline_seconds: float = 30.0,
        when_full: WhenFull | None = None,
        **options: Any,
    ) -> str:
        """Offer a task until the broker has it; return its id.

        A full queue, a lost connection and a missing answer are waited out with `backoff`, always under the same id.
        No attempt starts later than `deadline_seconds` after the call; the last one may run for its own timeout
        beyond. `when_full` decides about a full queue: `Wait(5)` bounds that wait alone, `FAIL_FAST` is none, and a
        keeper (an outbox) takes the task at the first refusal, lost connection or missing answer.

        Raises the last attempt's error, but Unconfirmed when any attempt may have reached the queue; at once for
        QueueFull with `stored`, for Unroutable and for a forbidden message. `options` are those of `send_task`.
        """
        task_id = task_id or uuid()
        choice = self._when_full if when_full is None else checked(when_full)
        started_at = self._clock()
        doubt: Unconfirmed | None = None
        for attempt in itertools.count(1):
            try:
                return self.attempt(task, args=args, kwargs=kwargs, task_id=task_id, **options)
            except PublishError as error:
                doubt = error if isinstance(error, Unconfirmed) else doubt
                queue = error.queue
                if not may_retry(error):
                    raise self._given_up(error, doubt, attempt) from error.__cause__
                if not isinstance(choice, Wait):
                    choice.keep(TaskCall(task, args=args, kwargs=kwargs or {}, task_id=task_id, options=options))
                    self.counters.add("kept", queue=queue)
                    return task_id
                delay_seconds = self.backoff.delay_seconds(attempt, self._rng)
                if self._clock() + delay_seconds > started_at + patience_seconds(error, choice, deadline_seconds):
                    raise self._given_up(error, doubt, attempt) from error.__cause__
            self._sleep(delay_seconds)
            self.counters.add("retried", queue=queue)
        raise AssertionError("itertools.count ends only by return or raise")

    def _given_up(self, error: PublishError, doubt: Unconfirmed | None, attempt: int) -> PublishError:
        self.counters.add("gave_up", queue=error.queue)
        final = error if doubt is None else doubt
        final.attempts = attempt
        return final

    def publish_many(
        self,
        tasks: Iterable[TaskCall | Signature],
        *,
        window: int = 500,
        deadline_seconds: float = 30.0,
        when_full: WhenFull | None = None,
    ) -> Iterator[Outcome]:
        """Publish many tasks without waiting for each confirm; yield one Outcome for every task.

        It works while it is iterated, and not before: read it to its end. `tasks` is read as it goes, so it may be
        endless; at most `window` tasks are in hand at any time. Outcomes come as they become known, not in the order
        of the input. A refused task is offered again as by `publish`, under the same id, until `deadline_seconds`
        after its first offer; so are those without an answer when the connection is lost or the broker silent for
        `timeout_seconds`. `when_full` is as for `publish`; one full queue fills the window, and then holds up others
        unless it says FAIL_FAST. What the input raises is raised after the outcomes of what was sent.

        It keeps one connection until it is read to its end or closed. Raises ValueError for a window below 1,
        TypeError for a `when_full` that is none.
        """
        settings = BulkSettings(
            app=self.app,
            lines=self._bulk_lines,
            topology=self._topology,
            counters=self.counters,
            backoff=self.backoff,
            rng=self._rng,
            clock=self._clock,
            sleep=self._sleep,
            timeout_seconds=self._timeout_seconds,
            deadline_seconds=deadline_seconds,
            window=window,
            when_full=self._when_full if when_full is None else checked(when_full),
        )
        return Bulk(tasks, settings).outcomes()

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
        call = TaskCall(task, args=args, kwargs=kwargs or {}, task_id=task_id, options=options)
        message = Message(self.app, call, self._topology)
        try:
            with self._lines.line(keep=(QueueFull, Unroutable)) as line:
                try:
                    self._send(line, message)
                except QueueFull as error:
                    self._store(line, message, error)
        except NoLine as error:
            unreachable = message.error(Unreachable, str(error))
            self.counters.add(*counted_as(unreachable), queue=unreachable.queue)
            raise unreachable from error
        except PublishError as error:
            self.counters.add(*counted_as(error), queue=error.queue)
            raise
        self.counters.add("accepted", queue=message.queue() if line.queue is None else line.queue)
        return message.task_id

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._lines.close()
        self._bulk_lines.close()

    def _send(self, line: Line, message: Message) -> None:
        line.begin()
        try:
            message.send(line.producer, timeout_seconds=self._timeout_seconds)
        except OperationalError as error:  # what Celery makes of most transport errors
            cause = error.__cause__ or error
            raise message.verdict(cause, self._topology) from cause
        except line.errors as error:
            raise message.verdict(error, self._topology) from error
        if line.returned is not None:
            raise message.error(Unroutable, line.returned)

    def _store(self, line: Line, message: Message, refusal: QueueFull) -> NoReturn:
        """Put a refused task where its queue's refused tasks belong, and say so; raise the refusal in any case."""
        dead = self._topology.refused_to.get(refusal.queue)
        if dead is None:
            raise refusal
        self._send(line, message.dead(dead, refusal.queue))
        raise message.stored(refusal) from refusal.__cause__


def _declared_queues(app: Celery) -> set[str]:
    """Return the queues the app's settings name."""
    named = app.conf.task_queues or ()
    names = named if isinstance(named, Mapping) else (queue.name for queue in named)
    return {app.conf.task_default_queue, *names}
