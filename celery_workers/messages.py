"""One task as it is offered, and what the broker's answer to it means."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from amqp.exceptions import ChannelError, MessageNacked, NotFound
from celery import Celery, uuid
from kombu import Exchange, Queue

from celery_workers.calls import TaskCall
from celery_workers.errors import PublishError, QueueFull, Unconfirmed, Unroutable
from celery_workers.topology import Topology

DEATH_HEADER = "x-celery-workers-death"  # as workers set it on what they put into a dead-letter queue
STORED = "full; kept in its dead-letter queue"


class Message:
    """A call of one app under the id it is offered with, again and again."""

    __slots__ = ("app", "call", "task_id", "topology")

    def __init__(self, app: Celery, call: TaskCall, topology: Topology | None = None) -> None:
        self.topology = topology
        self.app = app
        self.call = call
        self.task_id = call.task_id or uuid()

    def send(self, producer: Any, *, timeout_seconds: float | None = None, **options: Any) -> None:
        """Hand it to the producer's channel as Celery does: routes, serializer and signals are the app's own."""
        self.app.send_task(
            self.call.name,
            args=self.call.args,
            kwargs=self.call.kwargs,
            task_id=self.task_id,
            producer=producer,
            retry=False,  # Celery's own retry opens a new connection for every refusal
            declare=(),
            mandatory=True,
            confirm_timeout=timeout_seconds,
            **{**options, **self._options()},
        )

    def _options(self) -> Mapping[str, Any]:
        """Return the call's options, those of a task that is due later with its way through the delay queues."""
        options, topology = self.call.options, self.topology
        if topology is None or topology.delays is None or not (options.get("countdown") or options.get("eta")):
            return options
        queue = self.queue()
        return topology.delays.place(options, queue) if queue in topology.queues else options

    def queue(self) -> str:
        """Where the app's router sends it; worked out only when an error has to name it."""
        call = self.call
        task = self.app.tasks.get(call.task) if isinstance(call.task, str) else call.task
        options = dict(call.options)
        if getattr(task, "queue", None):
            options.setdefault("queue", task.queue)
        route = self.app.amqp.router.route(options, call.name, call.args, call.kwargs, task)
        queue = route.get("queue")
        if hasattr(queue, "for_task"):  # a route on its way to another queue
            queue = queue.for_task(self.task_id)
        return str(getattr(queue, "name", queue) or route.get("routing_key") or "")

    def error(self, kind: type[PublishError], reason: str) -> PublishError:
        """Return an error about this task."""
        return kind(reason, task=self.call.name, task_id=self.task_id, queue=self.queue())

    def refused(self, topology: Topology) -> QueueFull:
        """Return what the broker's no means, by what the topology says of the queue."""
        queue = self.queue()
        stored = queue in topology.stores_refused
        reason = STORED if stored else "full"
        return QueueFull(reason, task=self.call.name, task_id=self.task_id, queue=queue, stored=stored)

    def dead(self, dead_letter_queue: str, queue: str) -> Message:
        """Return the same task for a dead-letter queue, with the header that says why."""
        death = {"queue": queue, "reason": "refused", "error": "the queue was full", "at": int(time.time())}
        where = Queue(dead_letter_queue, Exchange("", type="direct"), routing_key=dead_letter_queue)
        headers = {**(self.call.options.get("headers") or {}), DEATH_HEADER: death}
        options = {**self.call.options, "queue": where, "headers": headers}
        return Message(self.app, replace(self.call, task_id=self.task_id, options=options))

    def stored(self, refusal: QueueFull) -> QueueFull:
        """Return the refusal of a task that was put into its queue's dead-letter queue meanwhile."""
        return QueueFull(STORED, task=self.call.name, task_id=self.task_id, queue=refusal.queue, stored=True)

    def verdict(self, cause: BaseException, topology: Topology) -> PublishError:
        """Return what the transport's error means for this task."""
        if isinstance(cause, MessageNacked):
            return self.refused(topology)
        if isinstance(cause, NotFound):  # the exchange; the broker has closed the channel
            return self.error(Unroutable, str(cause))
        if isinstance(cause, ChannelError):
            return self.error(PublishError, f"forbidden by the broker: {cause}")
        return self.error(Unconfirmed, f"no answer from the broker: {cause or type(cause).__name__}")
