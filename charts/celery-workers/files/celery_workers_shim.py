"""Starts any Celery application unchanged as a worker of one class: `celery -A celery_workers_shim:app worker ...`.

CELERY_WORKERS_APP names the application as `celery -A` would. Its own settings stay, those of celeryconfig go on top.
With CELERY_WORKERS_STATE_DIR set the worker keeps two files there for its probes: `heartbeat`, touched by the
consumer's loop, and `ready`, present while it consumes. What it gives up it stores as a dead letter with the reason
(celery_workers_letters), and it follows the orders of celery_workers_ops. Needs Celery 5.7, no more; Redis where given.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import celeryconfig
from celery import bootsteps, signals
from celery.app import defaults
from celery.app.task import Task
from celery.app.utils import find_app
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError
from celery.utils.imports import symbol_by_name
from celery.worker import pidbox, request, state
from celery_workers_connections import BoundedConnection, BoundedControl, SafeConnections
from celery_workers_letters import FAILED, POISON, TIMEOUT, DeadLetters, KeepsLetters, Letter, PoisonGuard
from celery_workers_ops import FollowsOrders, OrderWatch
from celery_workers_redis import make_shared
from celery_workers_sending import Sending
from celery_workers_stacks import tell_greenlets_too

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billiard.einfo import ExceptionInfo
    from celery import Celery
    from celery.worker import WorkController
    from celery.worker.consumer import Consumer

TOUCH_SECONDS = 5.0
FLUSH_SECONDS = 0.5  # how late an event may be; it carries the time at which it happened
OUTCOMES = {f"task-{outcome}": outcome for outcome in ("succeeded", "failed", "retried", "rejected", "revoked")}
TASK_SETTINGS = ("task_acks_", "task_reject_", "task_retry_")


class KeepsHandedOver:
    """Consumer mixin: at the worker's end, a task that a prefork process was given counts as begun.

    Celery 5.7 forgets those whose process has not been heard to have begun. The process does them all the same: nobody
    acknowledges, so that they are done twice, and it then waits 30 s for somebody to take its results.
    """

    def on_close(self) -> None:
        """Have them kept, as those are that were heard of: the worker waits for them and acknowledges."""
        if is_ending():
            for job in handed_over(self.pool):
                job._accepted = True
        super().on_close()


def handed_over(pool: Any) -> list[Any]:
    """Return the jobs that processes of the pool were given as a whole; none where it has no processes."""
    processes = getattr(pool, "_pool", None)
    writing = getattr(processes, "_active_writers", ())
    jobs = getattr(processes, "_cache", {}).values()
    return [job for job in jobs if job._write_to is not None and job._writer() not in writing]


class Request(request.Request):
    """A task request that ends in the dead-letter queue with its reason, where Celery itself would requeue for ever.

    `max_deliveries` has the limit of each queue that has one; set it in a subclass.
    """

    max_deliveries: Mapping[str, int] = {}
    given_up = False
    refused = False  # the task itself rejects its message, which is no failure
    failed = False
    accounted = False

    def send_event(self, type: str, **fields: Any) -> None:
        """Say in the event that settles it what became of the task, and of which one: once for each time it runs.

        Celery sends up to two such events for one ending, and only the first of a task's life names it.
        """
        outcome = None if self.accounted else self.outcome_of(type, fields)
        if outcome is not None:
            self.accounted = True
            fields.update(outcome=outcome, name=self.name, queue=self.delivery_info.get("routing_key"))
            fields["published"] = self.message.properties.get("timestamp")
            if self.eta is not None:
                fields["due"] = self.eta.timestamp()
        super().send_event(type, **fields)

    def outcome_of(self, type: str, fields: Mapping[str, Any]) -> str | None:
        """Return what an event means for the task; None for one that settles nothing."""
        if type == "task-rejected" and self.failed and not fields.get("requeue"):
            return "failed"
        return "rejected" if type == "task-failed" and self.refused else OUTCOMES.get(type)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Note a hard limit before Celery handles it."""
        if not soft:
            self.give_up(TIMEOUT, f"ran longer than its hard limit of {timeout:g} s")
        super().on_timeout(soft, timeout)

    def on_failure(self, exc_info: ExceptionInfo, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Note why; a hard limit the prefork pool reports as a failure, which it does first."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        self.refused, self.failed = isinstance(error, Reject), not isinstance(error, Reject | Ignore | Retry)
        if isinstance(error, Reject) and isinstance(self.message.reject, Letter):
            self.message.reject.by_itself = error.requeue
        if isinstance(error, TimeLimitExceeded):
            self.give_up(TIMEOUT, "ran longer than its hard limit")
        elif not self.given_up:
            self.note(reason_of(error), f"{type(error).__name__}: {error}")
        super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def _retry_worker_lost(self, exc: BaseException, exc_info: ExceptionInfo) -> bool:
        """Bound the retries of a task that kills its process where it has no max_retries."""
        most = self.max_deliveries.get(self.delivery_info["routing_key"])
        if self.task.max_retries is None and most and self._context.retries + 1 >= most:
            self.give_up(POISON, f"killed its process {most} times")
            return False
        return bool(super()._retry_worker_lost(exc, exc_info))

    def give_up(self, reason: str, error: str) -> None:
        """Note that the task is not to come again, and why."""
        self.given_up = True
        self.note(reason, error)

    def note(self, reason: str, error: str) -> None:
        """Have the dead letter, if there will be one, say why."""
        if isinstance(self.message.reject, Letter):
            self.message.reject.note(reason, error)

    def reject(self, requeue: bool = False) -> None:
        """Requeue a task that was given up only when the worker's own end was the reason."""
        super().reject(requeue=requeue and (not self.given_up or is_set(state.should_terminate)))


def reason_of(error: BaseException) -> str:
    """Return the reason of a dead letter for what ended its task."""
    if isinstance(error, SoftTimeLimitExceeded):
        return TIMEOUT
    return POISON if isinstance(error, WorkerLostError | SystemExit) else FAILED


class HeartbeatFile(bootsteps.StartStopStep):
    """Worker step: the consumer's loop touches a file every few seconds, so that it goes stale when the loop hangs.

    The timer only asks for it: on gevent the timer goes on while the loop stands still.
    """

    requires = ("celery.worker.components:Timer",)

    def __init__(self, worker: WorkController, **options: object) -> None:
        """Say where the file is; without a state directory the step stays out."""
        self.path = state_file("heartbeat")
        self.enabled = self.path is not None
        self.asked = False
        super().__init__(worker, **options)

    def start(self, worker: WorkController) -> None:
        """Touch now and from now on."""
        touch(self.path)
        worker.timer.call_repeatedly(TOUCH_SECONDS, self.ask, (worker,))

    def ask(self, worker: WorkController) -> None:
        """Have the loop touch the file; while the worker ends there is no loop, and only its grace period counts."""
        if is_ending():
            touch(self.path)
        elif not self.asked:
            self.asked = True
            worker.consumer.call_soon(self.answer)

    def answer(self) -> None:
        """Touch the file, in the loop."""
        self.asked = False
        touch(self.path)

    def stop(self, worker: WorkController) -> None:
        """Leave the timer to its own step."""


class ReadyFile(bootsteps.StartStopStep):
    """Consumer step: a file is there while the worker consumes, gone during a reconnect and from a shutdown's start."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Consumer, **options: object) -> None:
        """Say where the file is; without a state directory the step stays out."""
        self.path = state_file("ready")
        self.enabled = self.path is not None
        if self.enabled:
            remove(self.path)  # a container that restarts finds the last one's
            signals.worker_shutting_down.connect(self.on_shutting_down, weak=False)
        super().__init__(consumer, **options)

    def start(self, consumer: Consumer) -> None:
        """Have the file written in the loop's first turn, which comes after the consumer has begun to consume."""
        consumer.call_soon(touch, self.path)

    def stop(self, consumer: Consumer) -> None:
        """Remove the file: the connection is lost or the worker stops."""
        remove(self.path)

    def on_shutting_down(self, **details: object) -> None:
        """Remove the file as soon as the worker is asked to end, while its last tasks still run."""
        remove(self.path)


class EventBuffer(bootsteps.StartStopStep):
    """Consumer step for green pools: task events go out together, as those of the other pools do.

    Celery sends each by itself there, three a task, which is a third of what a short task costs the worker.
    """

    requires = ("celery.worker.consumer.events:Events",)

    def __init__(self, consumer: Consumer, **options: object) -> None:
        """Stay out where Celery's own loop buffers."""
        self.enabled = consumer.hub is None
        self.flushing = False
        super().__init__(consumer, **options)

    def start(self, consumer: Consumer) -> None:
        """Buffer from now on; the dispatcher is another one after each reconnect."""
        consumer.event_dispatcher.buffer_group = frozenset(["task"])
        if not self.flushing:  # once: on gevent a repeated call cannot be cancelled
            self.flushing = True
            consumer.timer.call_repeatedly(FLUSH_SECONDS, self.flush, (consumer,))

    def flush(self, consumer: Consumer) -> None:
        """Send what has gathered, unless somebody is at it. While the connection is away the dispatcher keeps it."""
        dispatcher = consumer.event_dispatcher
        if dispatcher is not None and not dispatcher.mutex.locked():
            dispatcher.flush()

    def stop(self, consumer: Consumer) -> None:
        """Go on: the last tasks' events are still to come."""

    def shutdown(self, consumer: Consumer) -> None:
        """Send what is left."""
        self.flush(consumer)


def is_ending() -> bool:
    """Whether the worker has been asked to end."""
    return is_set(state.should_stop) or is_set(state.should_terminate)


def is_set(flag: int | bool | None) -> bool:
    """Whether one of Celery's flags to end is set: it then holds the exit code, which may be 0."""
    return flag is not None and flag is not False


def state_file(name: str) -> Path | None:
    """Return the path of a file in the state directory, None without one."""
    directory = os.environ.get("CELERY_WORKERS_STATE_DIR")
    return Path(directory, name) if directory else None


def touch(path: Path) -> None:
    """Set the file's time to now, making it if need be."""
    path.touch()


def remove(path: Path) -> None:
    """Remove the file if it is there."""
    path.unlink(missing_ok=True)


def load_app(name: str, settings: Mapping[str, Any]) -> Celery:
    """Return the application `name` with `settings` on top of its own."""
    # First as defaults: a class-based task takes its settings when its module is imported, before they are on top.
    defaults.DEFAULTS.update({key: value for key, value in settings.items() if key.startswith(TASK_SETTINGS)})
    app = find_app(name)
    own_options = app.conf.broker_transport_options  # reading one setting loads them all
    for key, value in settings.items():  # one by one: `update` misses applications with settings in the old spelling
        app.conf[key] = value
    app.conf["broker_transport_options"] = {**own_options, **settings["broker_transport_options"]}
    if not app.conf.result_backend:
        # Otherwise Celery makes a "no results" object for each thread, on gevent for each task: a quarter of its cost.
        app.conf["result_backend_thread_safe"] = True
    vars(app).pop("amqp", None)  # queues and routes may have been read already
    return app


def add_steps(app: Celery) -> None:
    """Add what a worker of the chart does beyond Celery's own."""
    app.steps["worker"].add(HeartbeatFile)
    app.steps["worker"].add(OrderWatch)
    app.steps["consumer"].add(ReadyFile)
    app.steps["consumer"].add(EventBuffer)


def extend_worker(app: Celery, topology: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Have the application's consumer (stock or its own) and its requests lose no task, and follow orders."""
    app.amqp.Connection = BoundedConnection  # survives a broker that hangs
    pidbox.gPidbox = BoundedControl
    shared = make_shared(topology, environment)
    letters = DeadLetters(app, topology)
    app.amqp.send_task_message = Sending(app, topology, letters)
    parts = {
        "letters": letters,
        "guard": PoisonGuard(topology, shared),
        "shared": shared,
        "ops_directory": environment.get("CELERY_WORKERS_OPS_DIR") or None,
    }
    bases = (SafeConnections, KeepsHandedOver, KeepsLetters, FollowsOrders, symbol_by_name(app.conf.worker_consumer))
    app.conf.worker_consumer = type("Consumer", bases, parts)
    limits = {name: queue.get("max_deliveries") for name, queue in topology["queues"].items()}
    # Of every task whose class does not name its own.
    Task.Request = type("Request", (Request,), {"max_deliveries": limits})


def make_app(environment: Mapping[str, str]) -> Celery:
    """Return the application of CELERY_WORKERS_APP, ready to work as CELERY_WORKERS_CLASS."""
    topology = celeryconfig.load_topology()
    settings = celeryconfig.make_settings(topology, environment)
    app = load_app(environment["CELERY_WORKERS_APP"], settings)
    extend_worker(app, topology, environment)
    add_steps(app)
    tell_greenlets_too()
    return app


app = make_app(os.environ)
