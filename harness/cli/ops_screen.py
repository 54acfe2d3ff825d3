"""`harness ops status` on a terminal: one screen."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.ops.amounts import shown_duration
from harness.ops.overrides import shown
from harness.ops.status import Delayed, Status
from harness.tables import table_of

COLOURS = {"ok": "green", "warning": "yellow", "critical": "bold red"}


def screen(
    status: Status, *, within: Mapping[str, float] | None = None, above: Sequence[RenderableType] = ()
) -> RenderableType:
    """Return everything of a status, to be printed.

    `within` adds how fast the queues move: it is by queue in how many seconds 95 % of the tasks are done, where that is
    known. `above` is shown before the queues.
    """
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status.at))
    parts: list[RenderableType] = [Text(f"{status.release} ({status.place})  {at}", style="bold")]
    parts += [Text(f"! {problem}", style="bold red") for problem in status.problems]
    parts += [*above, _queues(status), *([_delayed(status.delayed)] if status.delayed else [])]
    parts += [*([] if within is None else [_flow(status, within)]), _pools(status)]
    if status.breakers:
        parts.append(_breakers(status.breakers))
    if status.rates:
        parts.append(_pairs("rate limits", status.rates))
    parts.append(_overrides(status))
    return Group(*parts)


def _queues(status: Status) -> Table:
    table = table_of("queue", "waiting>", "limit>", "full>", "running>", "consumers>", "oldest>", "dead letters>", "")
    for queue in status.queues:
        table.add_row(
            queue.name,
            f"{queue.ready:,}",
            "-" if queue.limit_messages is None else f"{queue.limit_messages:,}",
            Text("-" if queue.fill is None else f"{queue.fill:.0%}", style=COLOURS[queue.level]),
            f"{queue.unacked:,}",
            Text(str(queue.consumers), style="" if queue.consumers or queue.paused else COLOURS["critical"]),
            "-" if queue.oldest_seconds is None else shown_duration(queue.oldest_seconds),
            Text(f"{queue.dead:,}", style=COLOURS["warning"] if queue.dead else ""),
            Text("paused" if queue.paused else "", style=COLOURS["warning"]),
        )
    return table


def _delayed(delayed: Delayed) -> Text:
    text = Text(f"{delayed.later:,} tasks wait in RabbitMQ until they are due")
    for queue, count in delayed.refused.items():
        text.append(f"; {count:,} are due and wait for room in {queue}", style=COLOURS["warning"])
    return text


def _flow(status: Status, within_seconds: Mapping[str, float]) -> Table:
    table = table_of("queue", "published/s>", "done/s>", "95 % done within>", "empty in>")
    for queue in status.queues:
        rates = (queue.arrived_per_second, queue.done_per_second)
        within, empty = within_seconds.get(queue.name), queue.gone_in_seconds
        table.add_row(
            queue.name,
            *("-" if rate is None else f"{rate:,.1f}" for rate in rates),
            "-" if within is None else f"{within:,.1f}s",
            "-" if empty is None else shown_duration(max(empty, 1)),
        )
    return table


def _pools(status: Status) -> Table:
    table = table_of("workers", "ready>", "wanted>", "min>", "max>", "scaler", "")
    for pool in status.pools:
        table.add_row(
            pool.class_name,
            Text(str(pool.ready), style="" if pool.ready >= pool.wanted else COLOURS["warning"]),
            str(pool.wanted),
            "-" if pool.minimum is None else str(pool.minimum),
            "-" if pool.maximum is None else str(pool.maximum),
            pool.scaler,
            Text("held" if pool.held else "", style=COLOURS["warning"]),
        )
    return table


def _breakers(breakers: Mapping[str, Mapping[str, Any]]) -> Table:
    table = table_of("breaker", "state", "failures>", "opens at>", "override")
    for name, one in breakers.items():
        table.add_row(
            name,
            Text(one["state"], style="" if one["state"] == "closed" else COLOURS["critical"]),
            str(one["failures"]),
            str(one["threshold"] or "-"),
            _override(one["override"]),
        )
    return table


def _override(override: Mapping[str, Any] | None) -> str:
    if not override:
        return ""
    said = {key: override[key] for key in ("mode", "threshold") if override[key] is not None}
    left = override["left_seconds"]
    return shown(said) + ("" if left is None else f", {shown_duration(left)} left")


def _pairs(title: str, pairs: Mapping[str, Any]) -> Table:
    table = table_of(title, "")
    for name, value in pairs.items():
        table.add_row(name, str(value))
    return table


def _overrides(status: Status) -> RenderableType:
    if not status.overrides:
        return Text("no overrides", style="dim")
    table = table_of("override", "command", "by", "ends in>")
    for one in status.overrides:
        left = "-" if one.left_seconds is None else shown_duration(one.left_seconds)
        table.add_row(one.id, one.command, one.by, left)
    return table
