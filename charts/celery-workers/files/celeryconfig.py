"""Celery settings of workers and publishers, made from the topology.json beside this file.

A worker gets them through celery_workers_shim; a publisher says `app.config_from_object("celeryconfig")` with this
directory on PYTHONPATH. CELERY_WORKERS_CLASS names the worker class; a publisher has none. Needs Celery 5.7, no more.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import socket
import ssl
import time
from datetime import UTC, datetime
from fnmatch import translate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery import signals
from celery.app.amqp import AMQP
from celery.utils.time import maybe_iso8601, maybe_make_aware
from kombu import Exchange, Queue
from kombu.transport.native_delayed_delivery import calculate_routing_key, level_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TOPOLOGY_VERSION = 1
ROLLOUT_STEPS = 2**48
SHORTEST_DELAY_SECONDS = 0.5  # what is due sooner goes to its queue at once, and a worker holds it
EXCHANGE = "celery"  # one direct exchange; the routing key is the queue's name

# Both ends notice a dead connection after two to three intervals. Stock Celery asks for 120 s.
HEARTBEAT_SECONDS = 30

# For connections without AMQP heartbeats (events, remote control, everything of a threads worker): probes after 30 s
# of silence, every 10 s. What was sent may stay unanswered for 30 s; py-amqp's own figure is 1 s, and a pause of the
# network that long would make every running task start again elsewhere.
TCP_SETTINGS = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}


def load_topology() -> dict[str, Any]:
    """Return the topology.json beside this file; ValueError for a version this file does not know."""
    topology = json.loads(Path(__file__).with_name("topology.json").read_text(encoding="utf-8"))
    if topology["version"] != TOPOLOGY_VERSION:
        raise ValueError(f"topology.json has version {topology['version']}, celeryconfig.py reads {TOPOLOGY_VERSION}")
    return topology


class ReleaseQueue(Queue):
    """A queue of the release. With `first_delay`, an exchange, RabbitMQ holds what is sent to it before it is due."""

    first_delay = ""
    longest_delay_seconds = 0

    def delay(self, message: Any, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return the message and the options of its sending, so that it waits in RabbitMQ where it has to.

        Rounded up, so that no task is early. One whose wait is longer than all the queues keeps its eta for the rest.
        Without the message's expiration: a task may expire no sooner than it is due, and a worker looks then. The
        timestamp is when the task comes to its queue: it was not waiting for a worker before.
        """
        seconds = seconds_until(message.headers.get("eta"))
        if not self.first_delay or seconds <= SHORTEST_DELAY_SECONDS or options.get("exchange"):
            return message, dict(options)
        waited = min(math.ceil(seconds), self.longest_delay_seconds)
        if waited >= seconds:
            message = message._replace(headers={**message.headers, "eta": None})
        message = message._replace(properties={**message.properties, "timestamp": int(time.time()) + waited})
        kept = {name: value for name, value in options.items() if name not in ("queue", "expiration")}
        key = calculate_routing_key(waited, self.routing_key)
        return message, {**kept, "exchange": self.first_delay, "routing_key": key}


def seconds_until(eta: str | None) -> float:
    """Return how long until a message's eta, as a worker reads it; 0 without one."""
    if not eta:
        return 0.0
    return float((maybe_make_aware(maybe_iso8601(eta)) - datetime.now(UTC)).total_seconds())


def follow_delays() -> None:
    """Have this process's applications send what is due later to the delay queues of the task's queue.

    Celery does that itself, but not with a direct exchange, over which it warns at each task.
    """
    logging.getLogger("celery.app.base").addFilter(is_no_word_about_direct_exchanges)
    create = AMQP._create_task_sender
    if getattr(create, "follows_delays", False):
        return

    def create_task_sender(amqp: AMQP) -> Callable[..., Any]:
        send = create(amqp)

        def send_task_message(producer: object, name: str, message: Any, **options: Any) -> Any:
            queue = options.get("queue")
            queue = amqp.queues.get(queue) if isinstance(queue, str) else queue
            if hasattr(queue, "for_task"):
                queue = queue.for_task(message.headers["id"])
            if hasattr(queue, "delay"):
                message, options = queue.delay(message, options)
            return send(producer, name, message, **options)

        send_task_message.only_delays = True  # the bulk publisher then asks Celery only about tasks that are due later
        send_task_message.__wrapped__ = send
        return send_task_message

    create_task_sender.follows_delays = True
    create_task_sender.follows_rollouts = getattr(create, "follows_rollouts", False)
    AMQP._create_task_sender = create_task_sender


def is_no_word_about_direct_exchanges(record: logging.LogRecord) -> bool:
    """Whether a line of Celery's log is another than its warning that workers will hold tasks: they do not."""
    return not str(record.msg).startswith("Direct exchanges are not supported with native delayed delivery")


class RolloutQueue(ReleaseQueue):
    """The queue of a route that is being moved to another one: which of both a task takes, its id decides."""

    new_queue: Queue | None = None
    percent = 0.0

    def for_task(self, task_id: str) -> Queue:
        """Return the queue of a task: the same one for the same id; a higher percentage only adds to the new one's."""
        return self.new_queue if self.new_queue is not None and place(task_id) < self.percent else self


def place(task_id: str) -> float:
    """Return where an id stands among all ids, from 0 up to but not 100, evenly spread."""
    return int.from_bytes(hashlib.sha256(task_id.encode()).digest()[:6], "big") * 100 / ROLLOUT_STEPS


def follow_rollouts() -> None:
    """Have this process's applications ask RolloutQueue for each task: a router of Celery's is not told the id."""
    create = AMQP._create_task_sender
    if getattr(create, "follows_rollouts", False):
        return

    def create_task_sender(amqp: AMQP) -> Callable[..., Any]:
        send = create(amqp)

        def send_task_message(producer: object, name: str, message: Any, **options: Any) -> Any:
            queue = options.get("queue")
            if hasattr(queue, "for_task"):
                options["queue"] = queue.for_task(message.headers["id"])
            return send(producer, name, message, **options)

        return send_task_message

    create_task_sender.follows_rollouts = True
    create_task_sender.follows_delays = getattr(create, "follows_delays", False)
    AMQP._create_task_sender = create_task_sender


def make_destination(topology: Mapping[str, Any], route: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a route says, as Celery's router takes it."""
    rollout = route.get("rollout")
    if not rollout or not rollout["percent"]:
        return {"queue": route["queue"], "priority": route["priority"]}
    follow_rollouts()
    queue = make_queue(topology, route["queue"], kind=RolloutQueue)
    queue.new_queue = make_queue(topology, rollout["queue"])
    queue.percent = rollout["percent"]
    return {"queue": queue, "priority": route["priority"]}


def make_router(topology: Mapping[str, Any]) -> Callable[..., dict[str, Any]]:
    """Return a task router: the first route whose pattern, or "*." and its pattern, fits the task's name decides."""
    routes = [
        (
            re.compile(f"{translate(route['task'])}|{translate('*.' + route['task'])}"),
            make_destination(topology, route),
        )
        for route in topology["routes"]
    ]

    def route_task(name: str, *details: object, **more: object) -> dict[str, Any]:
        for pattern, destination in routes:
            if pattern.match(name):
                return dict(destination)
        return {"queue": topology["default_queue"], "priority": topology["default_priority"]}

    route_task.by_name_only = True  # the bulk publisher then asks once for many tasks of a name
    return route_task


def make_queue(topology: Mapping[str, Any], name: str, kind: type[ReleaseQueue] = ReleaseQueue) -> ReleaseQueue:
    """Return the declaration of one queue; limits live in its policy, so that they can change without a new queue."""
    queue = topology["queues"][name]
    arguments = {"x-queue-type": queue["type"]}
    if queue.get("max_priority"):
        arguments["x-max-priority"] = queue["max_priority"]
    made = kind(
        name, Exchange(EXCHANGE, type="direct", durable=True), routing_key=name, durable=True, queue_arguments=arguments
    )
    delays = topology.get("delayed_delivery")
    if delays:
        follow_delays()
        made.first_delay = level_name(delays["highest_level"], topology["release"])
        made.longest_delay_seconds = 2 ** (delays["highest_level"] + 1) - 1
    return made


def common_settings(topology: Mapping[str, Any]) -> dict[str, Any]:
    """Settings workers and publishers share."""
    return {
        "task_default_queue": topology["default_queue"],
        "task_default_exchange": EXCHANGE,
        "task_default_exchange_type": "direct",
        "task_default_routing_key": topology["default_queue"],
        "task_default_delivery_mode": "persistent",
        "task_queues": [make_queue(topology, name) for name in sorted(topology["queues"])],
        # A task sent to a queue nobody consumes would wait there for ever: let the sender see the mistake.
        "task_create_missing_queues": False,
        "task_routes": (make_router(topology),),
        # JSON only: reading a pickle runs whatever its sender wrote.
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        # Without confirms a full queue swallows tasks without a word.
        "broker_transport_options": {
            "confirm_publish": True,
            "socket_settings": {
                getattr(socket, name): value for name, value in TCP_SETTINGS.items() if hasattr(socket, name)
            },
        },
        # Celery's retry of a refused publish reconnects each time and, with reject-publish-dlx, stores one more copy in
        # the dead-letter queue; celery_workers.publishing waits and retries better.
        "task_publish_retry": False,
        # The control queue is durable, not exclusive: a worker that reconnects before the broker has noticed its dead
        # connection would be refused an exclusive one. (A transient shared one RabbitMQ 4.3 denies.) Event queues have
        # a new name for every reader, so exclusive suits them.
        "control_queue_durable": True,
        "control_queue_exclusive": False,
        "event_queue_durable": False,
        "event_queue_exclusive": True,
    }


def worker_settings(worker_class: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the workers of one class."""
    settings = {
        # A task is acknowledged when it is done, so that a worker's end gives it to another one.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # A task that kills its prefork child (memory) runs again at most as often as its max_retries, then goes to the
        # dead-letter queue, where plain requeueing would go on for ever.
        "task_retry_on_worker_lost": True,
        # A task that fails or runs out of time is rejected: the dead-letter queue keeps it for a person.
        "task_acks_on_failure_or_timeout": False,
        "task_acks_on_failure": False,
        "task_acks_on_timeout": False,
        "worker_prefetch_multiplier": worker_class["prefetch_multiplier"],
        # Their deliveries are gone with the connection and come again: going on would run every one twice. Threads
        # cannot be cancelled; asking for it makes such a worker hang on SIGTERM.
        "worker_cancel_long_running_tasks_on_connection_loss": worker_class["pool"] != "threads",
        # After a reconnect Celery takes fewer messages while tasks from before still run, and asks for more as each
        # ends: from that task's thread, which then reads what the worker's loop waits for. The loop waited for ever,
        # with every message of the worker in hand, until the broker missed its heartbeats.
        "worker_enable_prefetch_count_reduction": False,
        # A broker that is away is no reason to restart workers, at start or later.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_heartbeat": HEARTBEAT_SECONDS,
        # A prefork child that imports a large application on a busy node needs more than the stock 4 s to report.
        "worker_proc_alive_timeout": 60.0,
    }
    optional = {
        "task_time_limit": "hard_time_limit_seconds",
        "task_soft_time_limit": "soft_time_limit_seconds",
        "worker_max_tasks_per_child": "max_tasks_per_child",
        "worker_max_memory_per_child": "max_memory_per_child_kib",
    }
    settings.update((key, worker_class[name]) for key, name in optional.items() if worker_class.get(name) is not None)
    return settings


def broker_settings(environment: Mapping[str, str]) -> dict[str, Any]:
    """Settings that make CELERY_BROKER_URL hold even for an application that names a broker in its code."""
    url = environment.get("CELERY_BROKER_URL")
    if not url:
        return {}
    settings: dict[str, Any] = {"broker_url": url, "broker_read_url": url, "broker_write_url": url}
    if url.startswith("amqps:"):
        settings["broker_use_ssl"] = tls_options(url, environment.get("CELERY_BROKER_CA_FILE"))
    return settings


def tls_options(url: str, ca_file: str | None) -> dict[str, Any]:
    """Return what makes py-amqp believe only a broker that a known CA vouches for; it believes any by default.

    Of several brokers the names are not compared: kombu keeps the first one's for all.
    """
    options: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED}
    if ca_file:
        options["ca_certs"] = ca_file
    if ";" not in url:
        options["server_hostname"] = None  # kombu fills in the broker's
    return options


def make_settings(topology: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return every setting for this process; KeyError for a worker class the topology does not have."""
    settings = {**common_settings(topology), **broker_settings(environment)}
    if environment.get("CELERY_WORKERS_CLASS"):
        settings.update(worker_settings(topology["classes"][environment["CELERY_WORKERS_CLASS"]]))
    return settings


def stamp(properties: dict[str, Any], **details: object) -> None:
    """Note when a task was published or will be due, so that RabbitMQ can tell how old a queue's first one is."""
    properties.setdefault("timestamp", int(time.time()))


stamp.sets_timestamp_only = True  # the bulk publisher then does it itself
signals.before_task_publish.connect(stamp, weak=False, dispatch_uid="celery-workers-timestamp")
globals().update(make_settings(load_topology(), os.environ))
