"""Talking to the workers by Celery's remote control: who is there now hears it, who starts later does not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from harness.errors import HarnessError
from harness.ops import objects
from harness.ops.engine import Handler
from harness.ops.overrides import Setting
from harness.urls import redact

WORKER_RATE = "worker-rate"
ANSWER_SECONDS = 2.0
_RATE = re.compile(r"rate_limit=(\S+?)[\s\]]")


@dataclass(frozen=True)
class Workers:
    """The workers of one release, by its broker. Every method raises HarnessError when the broker does not answer."""

    amqp_url: str = field(repr=False)
    answer_seconds: float = ANSWER_SECONDS
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)  # of the connection, such as its TLS

    def rates(self, task: str) -> dict[str, str | None]:
        """Return each worker's own rate limit of a task, of those that know the task."""
        with self._app() as app:
            answers = app.control.inspect(timeout=self.answer_seconds).registered("rate_limit") or {}
        found: dict[str, str | None] = {}
        for node, tasks in answers.items():
            for line in tasks:
                if line.partition(" [")[0] == task:
                    match = _RATE.search(line)
                    found[node] = None if match is None or match[1] in ("0", "None") else match[1]
        return found

    def limit(self, task: str, rate: str | None) -> None:
        """Give every worker a rate limit of its own; None takes it off."""
        with self._app() as app:
            app.control.rate_limit(task, rate or 0, reply=True, timeout=self.answer_seconds)

    def stop_consuming(self, queue: str) -> int:
        """Have every worker take nothing more from a queue; return how many said yes."""
        with self._app() as app:
            answers = app.control.cancel_consumer(queue, reply=True, timeout=self.answer_seconds) or []
        return sum("ok" in answer for one in answers for answer in one.values())

    def consume(self, queue: str, *, worker_class: str) -> int:
        """Have the workers of a class take from a queue again; return how many said yes."""
        with self._app() as app:
            nodes = app.control.inspect(timeout=self.answer_seconds).ping() or {}
            # The others must not: they would take work that is not theirs.
            chosen = [node for node in nodes if node.startswith(f"{worker_class}@")]
            answers = chosen and app.control.add_consumer(
                queue, destination=chosen, reply=True, timeout=self.answer_seconds
            )
        return sum("ok" in answer for one in answers or [] for answer in one.values())

    @contextmanager
    def _app(self) -> Iterator[Celery]:
        app = Celery("ops", broker=self.amqp_url, set_as_current=False)
        app.conf.update(self.settings)
        app.conf.broker_transport_options = {"max_retries": 1, "interval_start": 0}
        app.conf.broker_connection_timeout = 5
        try:
            yield app
        except (OperationalError, OSError) as error:
            where = redact(self.amqp_url)
            raise HarnessError(f"the workers cannot be asked through the broker at {where}: {error}") from error
        finally:
            app.close()


@dataclass(frozen=True)
class WorkerRateHandler:
    """The engine's handler of "worker-rate/<task>"."""

    workers: Workers

    def read(self, thing: str) -> Setting:
        """Return what most of the workers that have a limit say, None where none has one. Raises HarnessError."""
        task = objects.parts_of(thing)[1]
        rates = self.workers.rates(task)
        if not rates:
            raise HarnessError(f"no worker that answers knows a task {task}")
        limited = Counter(rate for rate in rates.values() if rate is not None)
        return limited.most_common(1)[0][0] if limited else None

    def write(self, thing: str, setting: Setting, *, until: float | None, mark: str | None) -> None:
        """Tell all workers."""
        self.workers.limit(objects.parts_of(thing)[1], setting)


@dataclass(frozen=True)
class PausedHandler:
    """The engine's handler of "paused/<queue>": the ConfigMap holds for pods to come, a broadcast hurries it."""

    lasting: Handler
    workers: Workers
    class_of: Mapping[str, str]
    warn: Callable[[str], None]  # told when the broadcast did not work: the workers then see the ConfigMap later

    def read(self, thing: str) -> Setting:
        """Return true where the queue is paused. Raises HarnessError."""
        return self.lasting.read(thing)

    def write(self, thing: str, setting: Setting, *, until: float | None, mark: str | None) -> None:
        """Write the ConfigMap, then tell the workers that are there. Raises HarnessError for the ConfigMap alone."""
        self.lasting.write(thing, setting, until=until, mark=mark)
        queue = objects.parts_of(thing)[1]
        try:
            if setting:
                self.workers.stop_consuming(queue)
            elif queue in self.class_of:
                self.workers.consume(queue, worker_class=self.class_of[queue])
        except HarnessError as error:
            self.warn(f"the workers see it only when the ConfigMap reaches them, within two minutes: {error}")
