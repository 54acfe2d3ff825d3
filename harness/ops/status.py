"""One look at a release in trouble, as plain data. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.broker import delays
from harness.broker.stats import QueueDepth
from harness.ops import objects
from harness.ops.objects import Document
from harness.ops.overrides import Override
from harness.ops.wishes import Pool

OK, WARNING, CRITICAL = "ok", "warning", "critical"


@dataclass(frozen=True)
class FillLevels:
    """From which share of its limit on a queue looks bad: the thresholds of the two alerts about full queues."""

    warning: float
    critical: float

    @classmethod
    def of_alerts(cls, alerts: Mapping[str, Any]) -> FillLevels:
        """Read the values' monitoring.alerts."""
        return cls(
            warning=alerts["queueFilling"]["abovePercent"] / 100,
            critical=alerts["queueNearlyFull"]["abovePercent"] / 100,
        )

    def of(self, fill: float | None) -> str:
        """Return how bad that looks: ok, warning or critical; a queue without a limit is never full."""
        if (fill or 0) > self.critical:
            return CRITICAL
        return WARNING if (fill or 0) > self.warning else OK


@dataclass(frozen=True)
class QueueLine:
    """One queue against its limit. `fill` is ready over the limit, None without one; ages are seconds.

    The rates are messages a second, RabbitMQ's own means of the last seconds: published, and acknowledged, which the
    workers do when a task has ended. None where the broker counts none.
    """

    name: str
    class_name: str
    ready: int
    unacked: int
    limit_messages: int | None
    fill: float | None
    consumers: int
    oldest_seconds: float | None
    paused: bool
    dead_queue: str | None
    dead: int
    levels: FillLevels
    arrived_per_second: float | None = None
    done_per_second: float | None = None

    @property
    def gone_in_seconds(self) -> float | None:
        """In how many seconds its messages would be gone at these rates; None while they do not become fewer."""
        left = self.ready + self.unacked
        if self.done_per_second is None or not left:
            return None
        shrinking = self.done_per_second - (self.arrived_per_second or 0.0)
        return left / shrinking if shrinking > 0 else None

    @property
    def level(self) -> str:
        """How bad it looks: ok, warning or critical, by the alerts' thresholds; work that nobody takes is critical."""
        stuck = self.ready > 0 and self.consumers == 0 and not self.paused
        found = CRITICAL if stuck else self.levels.of(self.fill)
        return WARNING if found == OK and self.dead else found


@dataclass(frozen=True)
class PoolLine:
    """One worker class: replicas wanted, there and ready, and between which the scaler moves them."""

    class_name: str
    deployment: str
    scaler: str
    wanted: int
    running: int
    ready: int
    minimum: int | None
    maximum: int | None
    held: bool


@dataclass(frozen=True)
class OverrideLine:
    """One override in force; `left_seconds` is None where it lasts until somebody undoes it."""

    id: str
    command: str
    by: str
    left_seconds: float | None


@dataclass(frozen=True)
class Delayed:
    """Tasks that RabbitMQ holds: `later` are not due yet, `refused` are due and their queue is full, by queue."""

    later: int
    refused: Mapping[str, int]


@dataclass(frozen=True)
class Status:
    """Everything at one moment; `problems` says what could not be seen."""

    at: float
    release: str
    place: str
    queues: tuple[QueueLine, ...]
    pools: tuple[PoolLine, ...]
    delayed: Delayed | None = None
    breakers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rates: Mapping[str, str] = field(default_factory=dict)
    overrides: tuple[OverrideLine, ...] = ()
    problems: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it, each queue with its level."""
        document = asdict(self)
        for line, queue in zip(document["queues"], self.queues, strict=True):
            del line["levels"]
            line["level"] = queue.level
        return document


def queue_lines(
    topology: Mapping[str, Any],
    documents: Sequence[Mapping[str, Any]],
    *,
    paused: Sequence[str],
    levels: FillLevels,
    now: float,
) -> tuple[QueueLine, ...]:
    """Return a line for each queue of the topology; `documents` are those of RabbitMQ's management API."""
    seen = {one["name"]: one for one in documents}
    lines = []
    for name, queue in sorted(topology["queues"].items()):
        document, dead_queue = seen.get(name, {}), queue.get("dead_letter_queue")
        ready, limit = int(document.get("messages_ready") or 0), queue.get("max_length_messages")
        lines.append(
            QueueLine(
                name=name,
                class_name=queue["class"],
                ready=ready,
                unacked=int(document.get("messages_unacknowledged") or 0),
                limit_messages=limit,
                fill=ready / limit if limit else None,
                consumers=int(document.get("consumers") or 0),
                oldest_seconds=_age(document, ready, now),
                paused=name in paused,
                dead_queue=dead_queue,
                dead=int(seen.get(dead_queue, {}).get("messages") or 0),
                levels=levels,
                arrived_per_second=_rate(document, "publish"),
                done_per_second=_rate(document, "ack"),
            )
        )
    return tuple(lines)


def delayed_tasks(release: str, documents: Sequence[Mapping[str, Any]]) -> Delayed | None:
    """Return what waits until it is due, or for room, by the management API's documents; None without such queues.

    Also of a release that has turned delayed delivery off: what waits still comes.
    """
    held = {one["name"]: int(one.get("messages") or 0) for one in documents}
    mine = {name: count for name, count in held.items() if name.startswith(delays.prefix(release))}
    if not mine:
        return None
    due = delays.due_prefix(release)
    refused = {name.removeprefix(due): count for name, count in sorted(mine.items()) if name.startswith(due) and count}
    return Delayed(sum(mine.values()) - sum(refused.values()), refused)


def with_depths(documents: Sequence[Mapping[str, Any]], depths: Mapping[str, QueueDepth]) -> list[Mapping[str, Any]]:
    """Return the management API's documents with how much each queue holds now: their own counts are seconds old.

    Only they know how many messages are on their way to another queue, which a full one does not take.
    """
    return [
        {
            **one,
            "messages": depth.total + int(one.get("messages_dlx") or 0),
            "messages_ready": depth.ready,
            "messages_unacknowledged": depth.unacked,
        }
        if (depth := depths.get(one["name"]))
        else one
        for one in documents
    ]


def pool_lines(classes: Mapping[str, Pool]) -> tuple[PoolLine, ...]:
    """Return a line for each worker class."""
    return tuple(_pool_line(pool) for _, pool in sorted(classes.items()))


def override_lines(active: Sequence[Override], *, now: float) -> tuple[OverrideLine, ...]:
    """Return a line for each override, the first to end first, those without an end last."""
    lines = [
        OverrideLine(one.id, one.command, one.by, None if one.until is None else max(one.until - now, 0.0))
        for one in active
    ]
    return tuple(sorted(lines, key=lambda line: float("inf") if line.left_seconds is None else line.left_seconds))


def _pool_line(pool: Pool) -> PoolLine:
    status: Document = pool.deployment.get("status") or {}
    limits = {"min": None, "max": None}
    if pool.kind != objects.DEPLOYMENT:
        limits = objects.read(objects.thing_of(objects.FLOOR, pool.owner), pool.scaler)
    return PoolLine(
        class_name=pool.name,
        deployment=str(pool.deployment["metadata"]["name"]),
        scaler="none" if pool.kind == objects.DEPLOYMENT else pool.kind,
        wanted=int(pool.deployment["spec"].get("replicas", 1)),
        running=int(status.get("replicas") or 0),
        ready=int(status.get("readyReplicas") or 0),
        minimum=limits["min"],
        maximum=limits["max"],
        held=objects.is_held(pool.scaler),
    )


def _rate(document: Mapping[str, Any], what: str) -> float | None:
    """Return one of RabbitMQ's own rates; a queue that nothing has happened to since its start has none yet."""
    rate = ((document.get("message_stats") or {}).get(f"{what}_details") or {}).get("rate")
    return None if rate is None else float(rate)


def _age(document: Mapping[str, Any], ready: int, now: float) -> float | None:
    """Return how long the queue's first message has waited; RabbitMQ knows it of messages with a timestamp only."""
    stamp = document.get("head_message_timestamp")
    return max(now - float(stamp), 0.0) if ready and isinstance(stamp, int | float) and stamp > 0 else None
