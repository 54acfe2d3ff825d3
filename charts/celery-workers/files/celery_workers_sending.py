"""What a running task sends into a full queue: a chain's next link, a retry, a task of its own.

Celery fails the sending task over it, though its work is done. Here the task waits a little for the queue,
PAUSES_SECONDS between its attempts, and no longer: the queue may be the one its own slot should drain. What is still
refused is stored in the queue's dead-letter queue, reason "refused", and the sending task goes on; a queue that stores
what it refuses (reject-publish-dlx) has done that itself. Only where neither works the task gets Celery's error.
"""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Any

import amqp
from amqp.exceptions import MessageNacked
from celery._state import get_current_task
from celery_workers_letters import HEADER, REFUSED, make_death
from kombu.exceptions import OperationalError
from kombu.serialization import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from celery import Celery
    from celery_workers_letters import DeadLetters

logger = logging.getLogger(__name__)

PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.5)
FULL_SECONDS = 10.0  # a queue that did not empty in all the pauses is not waited for again so soon


class Sending:
    """Sends for the tasks of one worker process, in place of `app.amqp.send_task_message`."""

    def __init__(
        self,
        app: Celery,
        topology: Mapping[str, Any],
        letters: DeadLetters,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send as the application does until a queue refuses."""
        self.app = app
        self.queues = topology["queues"]
        self.letters = letters
        self.sleep = sleep
        self.clock = clock
        self.send = app.amqp.send_task_message
        self.full_until: dict[str, float] = {}

    def __call__(self, producer: Any, name: str, message: Any, **options: Any) -> Any:
        """Send one task. Outside of a task a refusal is the caller's matter, as in Celery."""
        queue = queue_name(options.get("queue"), message.headers["id"])
        if get_current_task() is None or queue not in self.queues:
            return self.send(producer, name, message, **options)
        pauses = () if self.clock() < self.full_until.get(queue, 0.0) else PAUSES_SECONDS
        for pause in (*pauses, None):
            try:
                return self.send(producer, name, message, **options)
            except (MessageNacked, OperationalError) as error:
                if not is_refusal(error):
                    raise
                if self.is_stored_by_queue(queue):
                    logger.warning("queue %s is full: task %s is among its dead letters", queue, message.headers["id"])
                    return None
                if pause is None:
                    self.store(queue, message, options, error)
                    return None
            self.sleep(pause * random.uniform(0.5, 1.5))
        raise AssertionError("the last attempt returns or raises")

    def is_stored_by_queue(self, queue: str) -> bool:
        """Whether the queue keeps what it refuses."""
        settings = self.queues[queue]
        return settings.get("overflow") == "reject-publish-dlx" and settings["type"] == "classic"

    def store(self, queue: str, message: Any, options: Mapping[str, Any], error: Exception) -> None:
        """Put what was refused into the dead-letter queue; raise `error` where that does not work."""
        self.full_until[queue] = self.clock() + FULL_SECONDS
        death = make_death(queue, REFUSED, "the queue was full", time.time())
        copy = make_message(message, options, self.app.conf.task_serializer, death)
        if not self.letters.store(queue, copy):
            raise error
        logger.warning("queue %s is full: task %s is now among its dead letters", queue, message.headers["id"])


def queue_name(queue: Any, task_id: str) -> str:
    """Return the name of a queue as Celery's router gives it, "" where it gives none."""
    if hasattr(queue, "for_task"):  # a route on its way to another queue
        queue = queue.for_task(task_id)
    return str(getattr(queue, "name", queue) or "")


def is_refusal(error: BaseException) -> bool:
    """Whether the broker said no, as opposed to nothing."""
    return isinstance(error, MessageNacked) or isinstance(error.__cause__, MessageNacked)


def make_message(message: Any, options: Mapping[str, Any], serializer: str, death: Mapping[str, Any]) -> amqp.Message:
    """Return a task message as Celery would have published it, with its death and without a time to live."""
    content_type, content_encoding, body = dumps(message.body, serializer=options.get("serializer") or serializer)
    properties = {key: message.properties.get(key) for key in ("correlation_id", "reply_to", "timestamp")}
    properties["priority"] = options.get("priority", message.properties.get("priority"))
    return amqp.Message(
        body,
        content_type=content_type,
        content_encoding=content_encoding,
        delivery_mode=2,
        application_headers={**message.headers, **(options.get("headers") or {}), HEADER: dict(death)},
        **{key: value for key, value in properties.items() if value is not None},
    )
