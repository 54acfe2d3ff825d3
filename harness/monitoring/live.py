"""What a live view shows of a release at one moment. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from harness.monitoring.fired import about
from harness.ops.status import CRITICAL, OK, WARNING, PoolLine, QueueLine, Status

SEVERITIES = (CRITICAL, WARNING)  # the worst first; others come after


@dataclass(frozen=True)
class AlertLine:
    """An alert that fires: since when (seconds since the epoch, None where unknown), about what, and what it says."""

    name: str
    severity: str
    about: str
    since: float | None
    summary: str


@dataclass(frozen=True)
class Look:
    """One look. `within_seconds` is by queue in how many seconds 95 % of the tasks are done, where that is known.

    `alerts_from` says whose alerts they are: Prometheus', or this view's own by the thresholds of `harness ops status`.
    """

    status: Status
    alerts_from: str
    alerts: Sequence[AlertLine] = ()
    within_seconds: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form: that of the status, with what a live view adds."""
        document = self.status.as_dict()
        for line, queue in zip(document["queues"], self.status.queues, strict=True):
            line["gone_in_seconds"] = queue.gone_in_seconds
            line["within_seconds"] = self.within_seconds.get(queue.name)
        return {**document, "alerts_from": self.alerts_from, "alerts": [asdict(one) for one in self.alerts]}


def alert_lines(alerts: Iterable[Mapping[str, Any]], *, release: str) -> list[AlertLine]:
    """Return the alerts of a release that fire, the worst first; `alerts` are those of Prometheus' API."""
    lines = [
        AlertLine(
            name=labels.get("alertname", ""),
            severity=labels.get("severity", ""),
            about=about(labels),
            since=_seconds(one.get("activeAt")),
            summary=(one.get("annotations") or {}).get("summary", ""),
        )
        for one in alerts
        if one.get("state") == "firing" and (labels := one["labels"]).get("release", release) == release
    ]
    return sorted(lines, key=_order)


def own_alerts(status: Status, before: Status | None) -> list[AlertLine]:
    """Return what looks bad without anybody's rules: the chart's thresholds, and what an operator would ask first.

    `before` is the status of up to a minute ago, by which it is seen what grows.
    """
    earlier = {} if before is None else {queue.name: queue for queue in before.queues}
    lines = [line for queue in status.queues for line in _of_queue(queue, earlier.get(queue.name))]
    growing = {
        queue.class_name
        for queue in status.queues
        if (was := earlier.get(queue.name)) is not None and queue.ready > was.ready
    }
    lines += [
        AlertLine(
            "AtMaximum", CRITICAL, pool.class_name, None, f"{pool.maximum} pods are the most, and the queue grows"
        )
        for pool in status.pools
        if _at_maximum(pool) and pool.class_name in growing
    ]
    lines += [
        AlertLine("BreakerOpen", CRITICAL, name, None, f"breaker {name} refuses calls")
        for name, breaker in status.breakers.items()
        if breaker.get("state") == "open"
    ]
    return sorted(lines, key=_order)


def _of_queue(queue: QueueLine, was: QueueLine | None) -> list[AlertLine]:
    lines = []
    subject = about({"class": queue.class_name, "queue": queue.name})
    if queue.ready and not queue.consumers and not queue.paused:
        lines.append(AlertLine("NoConsumer", CRITICAL, subject, None, f"{queue.ready:,} wait and nobody takes them"))
    if (level := queue.levels.of(queue.fill)) != OK:
        lines.append(AlertLine("QueueFilling", level, subject, None, f"{queue.fill:.0%} full"))
    if was is not None and queue.dead > was.dead:
        lines.append(
            AlertLine("DeadLetters", WARNING, subject, None, f"{queue.dead - was.dead:,} more than a minute ago")
        )
    return lines


def _at_maximum(pool: PoolLine) -> bool:
    return pool.maximum is not None and pool.wanted >= pool.maximum


def _order(line: AlertLine) -> tuple[int, str, str]:
    rank = SEVERITIES.index(line.severity) if line.severity in SEVERITIES else len(SEVERITIES)
    return rank, line.name, line.about


def _seconds(text: str | None) -> float | None:
    """Return Prometheus' time (RFC 3339, up to nanoseconds, which Python does not read) as seconds since the epoch."""
    if not text:
        return None
    whole, _, rest = text.rstrip("Z").partition(".")
    fraction = float(f"0.{rest}") if rest.isdigit() else 0.0
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + fraction
