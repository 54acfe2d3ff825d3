"""Two runs on the same axes: what all classes of each side do together, since the classes are not the same. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.claims.figures import summed
from harness.compare.budget import Budget
from harness.spike.panels import Panel, Series, aligned, requested_by
from harness.spike.result import Result
from harness.spike.timeline import GROUP_PERCENTILE, group_latency

BEFORE_COLOUR, AFTER_COLOUR = "series-2", "series-1"
GROUP_DASHES = ("dot", "dash", "longdash")

Values = Sequence[float | None]


def axis(before: Result, after: Result) -> list[int]:
    """Return the seconds of both runs, from the earliest to the latest."""
    seconds = (*before.timeline.seconds, *after.timeline.seconds)
    return list(range(min(seconds), max(seconds) + 1))


def panels(before: Result, after: Result, *, budget: Budget | None) -> list[Panel]:
    """Return the charts, top to bottom. `budget` is drawn as a limit of the cores, where it is that of the run."""
    wanted = axis(before, after)

    def pair(what: str, of: Callable[[Result], Values], *, dash: str = "solid", step: bool = False) -> list[Series]:
        return [
            Series(
                name=f"{what} {name}".strip(),
                values=aligned(of(result), result.timeline.seconds, wanted),
                colour=colour,
                dash=dash,
                step=step,
            )
            for name, colour, result in (("before", BEFORE_COLOUR, before), ("after", AFTER_COLOUR, after))
            if of(result)
        ]

    arrivals = Series(
        name="first attempts",
        values=aligned(after.timeline.arrivals, after.timeline.seconds, wanted),
        colour="arrived",
        dash="dot",
    )
    return [
        _panel("rates", "Throughput", "tasks/s", "Effects seen each second; the same tasks were offered to both.",
               [arrivals, *pair("done", lambda one: one.timeline.completions)]),
        _panel("work", "In work", "tasks", "What workers hold unacknowledged, all queues together.",
               pair("", lambda one: _depth(one, "unacked"))),
        _panel("depth", "Waiting", "messages", "What waits in the queues, all of them together.",
               pair("", lambda one: _depth(one, "ready"))),
        _panel("latency", "Time from first attempt to effect", "s",
               f"p95 of the tasks done in the last {after.timeline.latency_window_seconds} seconds"
               + (", of all and of each group." if _groups(after) else "."), _latencies(before, after, pair), digits=1),
        _panel("requests", "Cores requested", "cores", "By the pods that are there, all classes together.",
               [*pair("", requested_cores, step=True), *_limit(budget, wanted)], digits=1),
        _panel("cpu", "CPU", "cores", "What all pods use together.",
               pair("", lambda one: summed(list(one.timeline.cpu_cores.values()))), digits=2),
    ]  # fmt: skip


def requested_cores(result: Result) -> list[float | None]:
    """Return what all running pods request, second by second."""
    classes = result.setup.get("classes", {})
    return summed([requested_by(result, name, each.get("cpu_request_cores"), 1.0) for name, each in classes.items()])


def _depth(result: Result, key: str) -> list[float | None]:
    return summed([depth[key] for depth in result.timeline.queues.values()])


def _groups(result: Result) -> list[str]:
    return [name for name in result.by_group if group_latency(name) in result.timeline.latency_seconds]


def _latencies(before: Result, after: Result, pair: Callable[..., list[Series]]) -> list[Series]:
    found = pair("", lambda one: one.timeline.latency_seconds.get(GROUP_PERCENTILE, ()))
    names = sorted({*_groups(before), *_groups(after)})
    for index, name in enumerate(names):
        key, dash = group_latency(name), GROUP_DASHES[index % len(GROUP_DASHES)]
        found += pair(name, lambda one, key=key: one.timeline.latency_seconds.get(key, ()), dash=dash)
    return found


def _limit(budget: Budget | None, wanted: Sequence[int]) -> list[Series]:
    if budget is None:
        return []
    name = f"budget {budget.cores:g}"
    return [Series(name=name, values=[budget.cores] * len(wanted), colour="limit", dash="dash", constant=True)]


def _panel(key: str, title: str, unit: str, note: str, series: Sequence[Series], *, digits: int = 0) -> Panel:
    told = [
        f"{one.name} at most {max(known):,.{max(digits, 1)}f} {unit}"
        for one in series
        if not one.constant and (known := [value for value in one.values if value is not None])
    ]
    return Panel(
        key=key, title=title, unit=unit, note=note, series=series, digits=digits, summary=f"{'; '.join(told)}."
    )
