"""Messages as Celery builds them, without its building each of them: stencils learned from what it sends."""

from __future__ import annotations

import contextlib
import marshal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any
from weakref import ReferenceType

import celery.app.amqp
import celery.app.base
import kombu.messaging
from celery import Celery
from celery.app.amqp import AMQP
from celery.app.routes import MapRoute, Router
from celery.signals import after_task_publish, before_task_publish, task_sent
from kombu.serialization import dumps, registry

from celery_workers.calls import TaskCall
from celery_workers.messages import Message
from celery_workers.pipelined import Carried, PipelinedLine
from celery_workers.reprs import arguments_repr
from celery_workers.stencils import SLOTS, Differs, Stencil

# With these alone, messages of a task differ by no more than a stencil fills in: nothing of the clock, no other tasks.
PLAIN_OPTIONS = frozenset(
    (
        *("queue", "exchange", "routing_key", "priority", "headers", "serializer", "delivery_mode"),
        *("time_limit", "soft_time_limit", "ignore_result", "shadow"),
    )
)
NOTHING_FOLLOWS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
MOST_KINDS = 100  # each is a few kB; names and options made up at run time must not fill the memory


@dataclass(frozen=True, slots=True)
class _Kind:
    """All messages of one task with the same options."""

    stencil: Stencil
    serializer: str
    wants_result: bool
    queue: str | None


class Sender:
    """Sends tasks over one line during one run. What it learns is forgotten with it, so the app's settings may change.

    The first message of a kind gives a stencil, the second proves it, and from the third on Celery is not asked.
    """

    def __init__(self, app: Celery, line: PipelinedLine[Any]) -> None:
        self._app = app
        self._line = line
        self._plain = line.is_amqp and is_plain(app, line.producer)
        self._levels = app.conf.task_repr_maxlevels
        self._drafts: dict[object, _Kind | None] = {}  # made from one message, and not compared with another yet
        self._kinds: dict[object, _Kind | None] = {}  # None: Celery has to build each

    def send(self, message: Message) -> None:
        """Send it, byte by byte as Celery does; the line knows for which item.

        Raises what Celery raises, such as kombu's EncodeError, and the line's `errors`.
        """
        key = self._key(message.call)
        kind = self._kinds.get(key)
        if kind is not None:
            frames = kind.stencil.frames(self._own(message, kind.serializer, int(time.time())))
            if kind.wants_result:
                self._app.backend.on_task_call(self._line.producer, message.task_id)
            self._line.send(frames, kind.queue)
            return
        # Celery would note each task as a child of the one that runs; a million of them would fill its memory.
        message.send(self._line.producer, add_to_parent=False, result_cls=_NoResult)
        if key is not None and key not in self._kinds and self._line.carried is not None:
            self._learn(key, message, self._line.carried)

    def _key(self, call: TaskCall) -> object:
        """Return what messages of this call's kind have in common; None when Celery has to build them."""
        options = call.options
        if not self._plain or not options.keys() <= PLAIN_OPTIONS:
            return None
        if not isinstance(call.args, list | tuple) or not isinstance(call.kwargs, Mapping):
            return None  # Celery says what is wrong
        headers = options.get("headers")
        if headers and not headers.keys().isdisjoint(SLOTS):
            return None
        parent = self._app.current_worker_task
        with contextlib.suppress(ValueError):  # what is not of a plain type, such as a Queue
            alike = marshal.dumps(dict(options), 0)
            return call.name, alike, self._app.thread_oid, parent.request.id if parent else None
        return None

    def _learn(self, key: object, message: Message, carried: Carried) -> None:
        if key in self._drafts:
            kind = self._drafts.pop(key)
            self._kinds[key] = kind if kind is not None and self._is_proven(kind, message, carried) else None
        elif len(self._drafts) + len(self._kinds) < MOST_KINDS:
            self._drafts[key] = self._draft(message, carried)

    def _is_proven(self, kind: _Kind, message: Message, carried: Carried) -> bool:
        own = self._own(message, kind.serializer, carried.properties.get("timestamp", 0))
        return kind.stencil.frames(own) == carried.frames

    def _draft(self, message: Message, carried: Carried) -> _Kind | None:
        headers = carried.properties.get("application_headers") or {}
        serializer = registry.type_to_name.get(carried.properties.get("content_type"))
        if serializer is None or headers.get("eta") or headers.get("expires"):
            return None
        stencil = Stencil(carried.properties, self._own(message, serializer, 0), carried.where)
        queue = None if carried.where.exchange else carried.where.routing_key
        return _Kind(stencil, serializer, not headers.get("ignore_result"), queue)

    def _own(self, message: Message, serializer: str, timestamp: int) -> Differs:
        args, kwargs = message.call.args or (), message.call.kwargs or {}
        _, encoding, body = dumps((args, kwargs, NOTHING_FOLLOWS), serializer=serializer)
        amqp = self._app.amqp
        values = {
            "id": message.task_id,
            "root_id": message.task_id,
            "argsrepr": arguments_repr(args, most=amqp.argsrepr_maxsize, levels=self._levels),
            "kwargsrepr": arguments_repr(kwargs, most=amqp.kwargsrepr_maxsize, levels=self._levels),
        }
        return Differs(body.encode(encoding) if isinstance(body, str) else body, values, timestamp)


def is_plain(app: Celery, producer: Any) -> bool:
    """Whether only Celery itself has a say in the app's messages.

    Receivers of its signals, routers that look at the arguments, its subclasses, what wraps its functions (tracing
    does), and the event it sends about each task must see every message. A function can say of itself that it need
    not: a router with `by_name_only`, a receiver of before_task_publish with `sets_timestamp_only`, to the time in
    seconds, what wraps `send_task_message` with `only_delays`. The chart's celeryconfig does.
    """
    return (
        all(getattr(_alive(one), "sets_timestamp_only", False) for _, one in before_task_publish.receivers)
        and not after_task_publish.receivers
        and not task_sent.receivers
        and not app.conf.task_send_sent_event
        and app.conf.task_protocol == 2
        and type(app.amqp) is AMQP
        and type(app.amqp.router) is Router
        and all(isinstance(one, MapRoute) or getattr(one, "by_name_only", False) for one in app.amqp.routes)
        and _is_from(app.send_task, celery.app.base)
        and _is_from(app.amqp.create_task_message, celery.app.amqp)
        and _is_from(_within(app.amqp.send_task_message), celery.app.amqp)
        and _is_from(producer.publish, kombu.messaging)
    )


def _within(send: Any) -> Any:
    """Return the function behind one that has a say only about tasks that are due later: Celery builds those anyway."""
    return send.__wrapped__ if getattr(send, "only_delays", False) else send


def _alive(receiver: Any) -> Any:
    """Return a signal's receiver, which the signal may hold by a weak reference."""
    return receiver() if isinstance(receiver, ReferenceType) else receiver


def _is_from(function: Any, module: Any) -> bool:
    """Whether this is the module's own function or method, neither overridden nor wrapped."""
    own = function.__func__ if type(function) is MethodType else function
    return type(own) is FunctionType and own.__globals__ is vars(module)


class _NoResult:
    """Stands for the result nobody waits for; Celery's own costs as much as building the message."""

    ignored: Any = None

    def __init__(self, task_id: str) -> None:
        self.id = task_id
