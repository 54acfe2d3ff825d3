"""What the exporter counts of events and dead letters. No I/O; Prometheus' client keeps the figures.

A worker's shim says of each task's end, in the event itself, what became of it, its name, its queue and when it was
published (celery_workers_shim.Request): nothing has to be remembered of a task between its events. Only the time of a
task-sent event is, where publishers send them: the message's own timestamp knows whole seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from prometheus_client import CollectorRegistry

OUTCOMES = ("succeeded", "failed", "retried", "rejected", "revoked")
# What workers say of what they give up themselves, and what RabbitMQ says in x-death.
WORKERS_REASONS = ("failed", "timeout", "poison", "refused", "unknown")
BROKERS_REASONS = ("expired", "rejected", "maxlen", "delivery_limit")
REASONS = (*WORKERS_REASONS, *BROKERS_REASONS)
OTHER = "other"  # what is not of this release, or too much of it: a label must not take any number of values
MOST_TASK_NAMES = 200
MOST_SENT = 100_000  # publishings whose task has not ended yet; the oldest is forgotten
EXPIRY_SECONDS = 20.0  # a worker says every 2 s that it lives; one that was killed says nothing
SETTLED_SECONDS = 5.0  # after a connection begins, until each worker that lives has been heard of
HALF_A_SECOND = 0.5  # a timestamp of whole seconds was cut off, by so much on average


@dataclass
class Heard:
    """What a worker's last heartbeat said, and when it came."""

    worker_class: str
    at: float
    active: int
    processed: int


class Tally:
    """Counts what a release's workers and its broker tell. Times are the caller's clock's, in seconds.

    Not safe under threads, but for what Prometheus' client keeps: one thread tells, and asks `workers`.
    """

    def __init__(self, topology: Mapping[str, Any], buckets: Sequence[float], registry: CollectorRegistry) -> None:
        """Count for the classes and queues of a topology; `buckets` are seconds."""
        self.topology = topology
        self.names: set[str] = set()
        self.known: set[tuple[str, str, str]] = set()
        self.heard: dict[str, Heard] = {}
        self.sent: OrderedDict[str, float] = OrderedDict()
        self.connected_at: float | None = None
        self.events = Counter("celery_workers_events", "Events read.", registry=registry)
        self.tasks = Counter(
            "celery_workers_tasks",
            "Tasks by what became of them. One that is retried or goes back to its queue counts again.",
            ("class", "queue", "task", "outcome"),
            registry=registry,
        )
        self.runs = Histogram(
            "celery_workers_task_run_seconds",
            "How long tasks ran that succeeded.",
            ("class", "queue", "task"),
            buckets=buckets,
            registry=registry,
        )
        self.latencies = Histogram(
            "celery_workers_task_latency_seconds",
            "From a task's publication, or from when it was due, to its success.",
            ("class", "queue"),
            buckets=buckets,
            registry=registry,
        )
        self.processed = Counter(
            "celery_workers_processed",
            "Tasks that workers began, as heartbeats tell. If it rises and tasks_total does not, task events are off.",
            ("class",),
            registry=registry,
        )
        self.letters = Counter(
            "celery_workers_dead_letters",
            "Messages that became dead letters, by the queue they died in.",
            ("class", "queue", "reason"),
            registry=registry,
        )

    def follow(self, topology: Mapping[str, Any]) -> None:
        """Go on by a changed topology."""
        self.topology = topology

    def connected(self, now: float) -> None:
        """Note that events come from now on."""
        self.connected_at = now
        self.heard.clear()
        for worker_class in self.topology["classes"]:
            self.processed.labels(worker_class)

    def disconnected(self) -> None:
        """Note that events do not come: what was known of workers may be wrong by now."""
        self.connected_at = None

    def watches_letters(self) -> None:
        """Have every series of dead letters from the start, with 0, so that a rate sees the first one."""
        for name, queue in self.topology["queues"].items():
            for reason in REASONS:
                self.letters.labels(queue["class"], name, reason)

    def event(self, event: Mapping[str, Any], now: float) -> None:
        """Count one event."""
        self.events.inc()
        kind = event.get("type") or ""
        if kind.startswith("worker-"):
            self._worker(kind, event, now)
        elif kind == "task-sent":
            self._task_sent(event)
        elif event.get("outcome") in OUTCOMES:
            self._task_ended(event)

    def letter(self, queue: str, reason: str) -> None:
        """Count one dead letter."""
        known = self.topology["queues"].get(queue)
        labels = (known["class"], queue) if known else (OTHER, OTHER)
        self.letters.labels(*labels, reason if reason in REASONS else OTHER).inc()

    def workers(self, now: float) -> dict[str, tuple[int, int]] | None:
        """Return (workers that live, tasks they run) by class; None while it is not known."""
        if self.connected_at is None or now - self.connected_at < SETTLED_SECONDS:
            return None
        for name in [name for name, heard in self.heard.items() if now - heard.at > EXPIRY_SECONDS]:
            del self.heard[name]
        found = dict.fromkeys(self.topology["classes"], (0, 0))
        for heard in self.heard.values():
            count, active = found.get(heard.worker_class, (0, 0))
            found[heard.worker_class] = (count + 1, active + heard.active)
        return found

    def _worker(self, kind: str, event: Mapping[str, Any], now: float) -> None:
        name = str(event.get("hostname") or "")
        worker_class = self._class_of(name)
        if worker_class is None:
            return
        if kind == "worker-offline":
            self.heard.pop(name, None)
            return
        processed = int(event.get("processed") or 0)
        before = self.heard.get(name)
        if before is not None and processed > before.processed:
            self.processed.labels(worker_class).inc(processed - before.processed)
        self.heard[name] = Heard(worker_class, now, int(event.get("active") or 0), processed)

    def _class_of(self, hostname: str) -> str | None:
        """Return the class of a worker, whose name is <class>@<pod>; None for one of somebody else."""
        worker_class = hostname.partition("@")[0]
        return worker_class if worker_class in self.topology["classes"] else None

    def _task_sent(self, event: Mapping[str, Any]) -> None:
        if event.get("uuid") and event.get("timestamp"):
            self.sent[str(event["uuid"])] = float(event["timestamp"])
            while len(self.sent) > MOST_SENT:
                self.sent.popitem(last=False)

    def _task_ended(self, event: Mapping[str, Any]) -> None:
        sent_at = self.sent.pop(str(event.get("uuid")), None)
        worker_class = self._class_of(str(event.get("hostname") or ""))
        if worker_class is None:
            return
        queue = event.get("queue") if event.get("queue") in self.topology["queues"] else OTHER
        labels = (worker_class, str(queue), self._task_name(str(event.get("name") or "")))
        if labels not in self.known:
            self.known.add(labels)
            for outcome in OUTCOMES:
                self.tasks.labels(*labels, outcome)
        self.tasks.labels(*labels, event["outcome"]).inc()
        if event["outcome"] == "succeeded":
            run = event.get("runtime")
            if run is not None:
                self.runs.labels(*labels).observe(run)
            latency = latency_seconds(event, sent_at)
            if latency is not None:
                self.latencies.labels(*labels[:2]).observe(latency)

    def _task_name(self, name: str) -> str:
        if name not in self.names and len(self.names) >= MOST_TASK_NAMES:
            return OTHER
        self.names.add(name)
        return name


def latency_seconds(event: Mapping[str, Any], sent_at: float | None) -> float | None:
    """Return how long a task took from its publication, or from when it was due where that is later, to its end.

    `sent_at` is exact; without it the message's timestamp counts, whose half second is made up for. A timestamp after
    `sent_at` is when RabbitMQ had the task come to its queue (delayedDelivery). None where the message has none. Never
    less than the run itself, whatever the clocks of two machines say.
    """
    published = event.get("published")
    if sent_at is None and published is None:
        return None
    stamped = float(published or 0)
    began = stamped + HALF_A_SECOND if sent_at is None else max(sent_at, stamped)
    began = max(began, float(event.get("due") or 0))
    return max(float(event["timestamp"]) - began, float(event.get("runtime") or 0), 0.0)


def death_of(headers: Mapping[str, Any] | None, header: str) -> tuple[str, str] | None:
    """Return (queue, reason) as a worker's note says, else as RabbitMQ does in x-death; None where neither does."""
    headers = headers or {}
    deaths: Iterable[Any] = headers.get("x-death") or ()
    death = headers.get(header) or next(iter(deaths), None)
    if not death:
        return None
    return str(death.get("queue") or ""), str(death.get("reason") or "")
