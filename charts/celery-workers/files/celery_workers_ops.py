"""Orders of the person on call that hold for every worker, also for those that start later.

Paused queues: `paused.json` in CELERY_WORKERS_OPS_DIR = {"queues": [names]}; a worker stops taking from them and stays
ready. Rates: in Redis, by task name (celery_workers_redis), over all workers together. Both are looked at every
LOOK_SECONDS by a thread and applied in the consumer's loop. What cannot be read leaves things as they are.
"""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery import bootsteps
from celery_workers_redis import parse_rate
from kombu.utils.limits import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from celery.worker import WorkController
    from celery_workers_redis import Shared

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
PAUSED_FILE = "paused.json"
ASK_AGAIN_SECONDS = 0.01  # at least, so that a rate of thousands a second does not become a busy loop


def read_paused(directory: str | None) -> frozenset[str] | None:
    """Return the queues that are to rest; None when the file does not say, or says it in another form."""
    if not directory:
        return frozenset()
    path = Path(directory, PAUSED_FILE)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return frozenset(map(str, document["queues"]))
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s cannot be read (%s): queues stay as they are", path, error)
        return None


def rate_of(task: str, rates: Mapping[str, str]) -> str | None:
    """Return the name under which a rate holds for a task: its own, or what its name ends in behind a module path."""
    if task in rates:
        return task
    return next((name for name in sorted(rates) if task.endswith(f".{name}")), None)


class SharedBucket(TokenBucket):
    """Celery's bucket of a task's requests, asking Redis for each grant; without Redis the worker's own rate holds."""

    def __init__(self, name: str, per_second: float, shared: Shared, own: TokenBucket | None) -> None:
        """Hold a rate by its name. `own` is the bucket of the task's own rate_limit, where it has one."""
        super().__init__(per_second)
        self.name = name
        self.shared = shared
        self.own = own
        self.next_at = 0.0

    def can_consume(self, tokens: float = 1) -> bool:
        """Whether a request may go now. Asks Redis only when the answer may have changed."""
        now = self.shared.clock()
        if now < self.next_at:
            return False
        wait = self.shared.wait_seconds(self.name, self.fill_rate)
        if wait is None:
            return self.own is None or self.own.can_consume(tokens)
        self.next_at = now + wait
        return wait == 0

    def expected_time(self, tokens: float = 1) -> float:
        """Return the seconds until it pays to ask again."""
        wait = self.next_at - self.shared.clock()
        if wait <= 0 and self.own is not None:
            wait = self.own.expected_time(tokens)
        return max(wait, ASK_AGAIN_SECONDS)


class FollowsOrders:
    """Consumer mixin: queues rest and tasks slow down as ordered. Set `shared` and `ops_directory` in the class."""

    shared: Shared
    ops_directory: str | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Leave out what rests already, before the first message could come."""
        self.resting: frozenset[str] = frozenset()
        self.rates: dict[str, str] = {}
        super().__init__(*arguments, **options)
        self.own_queues = frozenset(self.app.amqp.queues.consume_from)
        self.follow(read_paused(self.ops_directory), None)

    def follow(self, paused: frozenset[str] | None, rates: dict[str, str] | None) -> None:
        """Apply what changed since the last time; runs in the consumer's loop. None leaves things as they are."""
        if paused is not None and paused != self.resting:
            before, self.resting = self.resting, paused
            self.pause(paused - before)
            self.resume(before - paused)
        if rates is not None and rates != self.rates:
            self.rates = rates
            self.reset_rate_limits()
            logger.warning("rates by order: %s", ", ".join(f"{name} {rates[name]}" for name in sorted(rates)) or "none")

    def pause(self, queues: frozenset[str]) -> None:
        """Stop taking from those queues that are this worker's; a reconnect does not begin again."""
        for queue in sorted(queues & self.own_queues):
            logger.warning("queue %s rests by order", queue)
            if self.task_consumer is None:
                self.app.amqp.queues.deselect(queue)
            else:
                self.cancel_task_queue(queue)

    def resume(self, queues: frozenset[str]) -> None:
        """Take again from those queues that are this worker's."""
        for queue in sorted(queues & self.own_queues):
            logger.warning("queue %s goes on", queue)
            if self.task_consumer is None:
                self.app.amqp.queues.select_add(self.app.amqp.queues[queue])
            else:
                self.add_task_queue(queue)

    def reset_rate_limits(self) -> None:
        """Give each task the bucket of the rate that holds for it; what waits in an old one moves, or goes."""
        for name, task in self.app.tasks.items():
            old = self.task_buckets[name]
            new = self.task_buckets[name] = self.make_bucket(name, task)
            waiting = list(old.contents) if old is not None else []
            if waiting:
                old.clear_pending()  # its timers find nothing
                bucket = new if new is not None else open_bucket()
                bucket.contents.extend(waiting)
                self._schedule_bucket_request(bucket)

    def make_bucket(self, name: str, task: Any) -> TokenBucket | None:
        """Return the bucket of a task, None where nothing limits it."""
        own = self.bucket_for_task(task)
        rate = rate_of(name, self.rates)
        if rate is None:
            return own
        try:
            return SharedBucket(rate, parse_rate(self.rates[rate]), self.shared, own)
        except ValueError as error:
            logger.warning("rate of task %s: %s", rate, error)
            return own


def open_bucket() -> TokenBucket:
    """Return a bucket that lets everything go."""
    return TokenBucket(float("inf"), capacity=float("inf"))


class OrderWatch(bootsteps.StartStopStep):
    """Worker step: a thread looks for orders and hands them to the consumer's loop."""

    requires = ("celery.worker.components:Timer", "celery.worker.components:Pool")

    def __init__(self, worker: WorkController, **options: object) -> None:
        """Begin nothing yet."""
        self.ended = threading.Event()
        super().__init__(worker, **options)

    def start(self, worker: WorkController) -> None:
        """Look from now on; prefork's processes have started before, without the thread."""
        threading.Thread(target=self.watch, args=(worker.consumer,), name="orders", daemon=True).start()

    def watch(self, consumer: FollowsOrders) -> None:
        """Look again and again, until the worker stops."""
        while not self.ended.wait(LOOK_SECONDS):
            paused = read_paused(consumer.ops_directory)
            rates = consumer.shared.rates()
            if self.has_news(consumer, paused, rates):
                consumer.call_soon(consumer.follow, paused, rates)

    @staticmethod
    def has_news(consumer: FollowsOrders, paused: frozenset[str] | None, rates: dict[str, str] | None) -> bool:
        """Whether something is ordered otherwise than it is followed."""
        return (paused is not None and paused != consumer.resting) or (rates is not None and rates != consumer.rates)

    def stop(self, worker: WorkController) -> None:
        """Look no more."""
        self.ended.set()

    terminate = stop
