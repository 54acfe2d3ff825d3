"""The timeline as panels a page can draw: titles, series, marks. Pure; colours are names, resolved by the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.spike.words import NOTABLE_EVENTS, idle_classes, seconds

if TYPE_CHECKING:
    from harness.spike.result import Result
    from harness.spike.timeline import Timeline

MIB = 1024.0**2
CLASS_COLOURS = ("series-1", "series-2", "series-3", "series-4", "series-5", "series-6")
# A limit far above the curve would flatten it; it is then told in the panel's note.
LIMIT_SHOWN_FROM_SHARE = 0.2
MARKS_AT_MOST = 12
SAME_SYNC_SECONDS = 1.0  # decisions closer than this share a label


@dataclass(frozen=True, kw_only=True)
class Series:
    """One curve, a value for each second of the run. `dash` is solid, dash, dot or longdash."""

    name: str
    values: Sequence[float | None]
    colour: str
    dash: str = "solid"
    step: bool = False
    filled: bool = False
    constant: bool = False  # its name says its value


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A moment to point at."""

    at_seconds: float
    text: str
    bad: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One chart. `digits` are the decimals its figures are shown with."""

    key: str
    title: str
    unit: str
    note: str
    series: Sequence[Series]
    digits: int = 0
    labelled_marks: bool = False
    lanes: Sequence[str] = ()  # names of whole numbers from 1 on, drawn from the top: bars in place of curves
    summary: str = field(default="")  # the chart in words, for those who cannot see it

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form the page draws from."""
        return asdict(self)


@dataclass(frozen=True)
class Beside:
    """Another timeline to draw on the same axes, under a name of its own: what was foretold, another plan."""

    name: str
    timeline: Timeline


def panels(result: Result, beside: Beside | None = None) -> list[Panel]:
    """Return the panels that have something to show, top to bottom; curves of `beside` are long dashes."""
    drawn = _panels(result)
    if beside is None:
        return drawn
    others = {panel.key: panel for panel in _panels(replace(result, timeline=beside.timeline))}
    return [_joined(panel, others.get(panel.key), result.timeline, beside) for panel in drawn]


_COMPARED = {"rates": ("done",), "depth": (" waiting",), "replicas": (" wanted", " ready"), "latency": ("p95",)}
"""Which curves of a panel are drawn a second time: how their names end."""


def _joined(panel: Panel, other: Panel | None, axis: Timeline, beside: Beside) -> Panel:
    added = [
        replace(
            series,
            name=f"{series.name} {beside.name}",
            values=aligned(series.values, beside.timeline.seconds, axis.seconds),
            dash="longdash",
            filled=False,
        )
        for series in (other.series if other else ())
        if series.name.endswith(_COMPARED.get(panel.key, ()))
    ]
    return replace(panel, series=[*panel.series, *added])


def aligned(values: Sequence[float | None], at_seconds: Sequence[int], wanted: Sequence[int]) -> list[float | None]:
    """Return a series on another axis; None where it has no value."""
    known = dict(zip(at_seconds, values, strict=False))
    return [known.get(second) for second in wanted]


def _alerts(result: Result) -> Panel:
    """When which alert fired: a lane each, a curve of its lane's number for as long as it does."""
    line = result.timeline
    lanes: dict[str, list[Mapping[str, Any]]] = {}
    for alert in result.alerts or ():
        lanes.setdefault(alert_name(alert), []).append(alert)
    series = [
        Series(
            name=name,
            values=[number if _fires(alerts, second) else None for second in line.seconds],
            colour="bad" if alerts[0]["severity"] == "critical" else "warn",
        )
        for number, (name, alerts) in enumerate(lanes.items(), start=1)
    ]
    return Panel(
        key="alerts",
        title="Alerts",
        unit="",
        note="When each alert fired, by the rules of the release: red where it is critical.",
        series=series,
        lanes=list(lanes),
        summary=" ".join(
            f"{alert_name(one)} fired from {seconds(one['start'])} {_until(one)}." for one in result.alerts or ()
        ),
    )


def alert_name(alert: Mapping[str, Any]) -> str:
    """Return an alert's name with what it is about."""
    return f"{alert['name']} {alert['about']}".strip()


def _fires(alerts: Sequence[Mapping[str, Any]], second: int) -> bool:
    """Whether one of them fires in a second of the run, be it for a part of it."""
    return any(one["start"] < second + 1 and (one["end"] is None or one["end"] > second) for one in alerts)


def _until(alert: Mapping[str, Any]) -> str:
    return "to the end" if alert["end"] is None else f"to {seconds(alert['end'])}"


def _panels(result: Result) -> list[Panel]:
    colours = class_colours(result)
    drawn = [
        _alerts(result),
        _rates(result),
        _depths(result, colours),
        _replicas(result, colours),
        _latency(result),
        _resource(result, colours, key="cpu", title="CPU", unit="cores"),
        _resource(result, colours, key="memory", title="Memory", unit="MiB"),
    ]
    return [panel for panel in drawn if any(_has_values(series) for series in panel.series)]


def marks(result: Result) -> list[Mark]:
    """Return scale events and mishaps in order of time, at most MARKS_AT_MOST of each."""
    several = len({event["deployment"] for event in result.scale_events}) > 1
    names = _class_names(result)
    steps: list[tuple[float, list[str]]] = []
    for event in sorted(result.scale_events, key=lambda event: event["t"]):
        name = f"{names.get(event['deployment'], event['deployment'])} " if several else ""
        if not steps or event["t"] - steps[-1][0] >= SAME_SYNC_SECONDS:
            steps.append((event["t"], []))
        steps[-1][1].append(f"{name}{event['before']} → {event['after']}")
    scaled = [Mark(at_seconds=at, text=", ".join(texts)) for at, texts in steps][:MARKS_AT_MOST]
    mishaps = [
        Mark(at_seconds=event["t"], text=event["kind"], bad=True)
        for event in result.events
        if event["kind"] in NOTABLE_EVENTS
    ][:MARKS_AT_MOST]
    return sorted(scaled + mishaps, key=lambda mark: mark.at_seconds)


def class_colours(result: Result) -> dict[str, str]:
    """Give every worker class its colour, and its deployment and queues the same one."""
    classes = result.setup.get("classes", {})
    idle = idle_classes(result)  # they are not drawn, so they come last
    names = sorted(
        [*classes, *(name for name in result.timeline.cpu_cores if name not in classes)], key=idle.__contains__
    )
    found: dict[str, str] = {}
    for index, name in enumerate(names):
        colour = CLASS_COLOURS[index % len(CLASS_COLOURS)]
        for key in (name, classes.get(name, {}).get("deployment"), *classes.get(name, {}).get("queues", ())):
            if key:
                found[key] = colour
    return found


def _rates(result: Result) -> Panel:
    line = result.timeline
    refused = (
        [sum(filter(None, values)) for values in zip(*line.refusals.values(), strict=True)] if line.refusals else []
    )
    series = [
        Series(name="first attempts", values=line.arrivals, colour="arrived", dash="dot"),
        Series(name="done", values=line.completions, colour="done", filled=True),
    ]
    if any(refused):
        series.append(Series(name="refused attempts", values=refused, colour="refused", dash="dash"))
    done, at = _peak(line.completions, line.seconds)
    return Panel(
        key="rates",
        title="Arrivals and throughput",
        unit="tasks/s",
        note="Each second: tasks offered for the first time, effects seen, publish attempts the broker refused.",
        series=series,
        summary=f"At most {done:,.0f} tasks were done in one second, at {at} s.",
    )


def _depths(result: Result, colours: Mapping[str, str]) -> Panel:
    line, limits = result.timeline, result.setup.get("queues", {})
    series: list[Series] = []
    hidden, told = [], []
    shared = "limit" if len(result.by_queue) == 1 else None
    for queue, depth in line.queues.items():
        if queue not in result.by_queue and not any(any(filter(None, values)) for values in depth.values()):
            continue
        colour = colours.get(queue, "other")
        series += [
            Series(name=f"{queue} waiting", values=depth["ready"], colour=colour, filled=True),
            Series(name=f"{queue} in work", values=depth["unacked"], colour=colour, dash="dot"),
        ]
        peak, at = _peak(depth["ready"], line.seconds)
        told.append(f"{queue} held at most {peak:,.0f} waiting messages, at {at} s.")
        limit = (limits.get(queue) or {}).get("max_length_messages")
        if limit and peak >= LIMIT_SHOWN_FROM_SHARE * limit:
            values = [float(limit)] * len(line.seconds)
            name = f"{queue} limit {limit:,}"
            series.append(Series(name=name, values=values, colour=shared or colour, dash="dash", constant=True))
        elif limit:
            hidden.append(f"{queue} {limit:,}")
    note = "Messages waiting, and messages workers hold unacknowledged; a limit counts only those that wait."
    return Panel(
        key="depth",
        title="Queue depth",
        unit="messages",
        note=note + (f" Limits far above the curve: {', '.join(hidden)}." if hidden else ""),
        series=series,
        summary=" ".join(told),
    )


def _replicas(result: Result, colours: Mapping[str, str]) -> Panel:
    names, series, told = _class_names(result), [], []
    idle = idle_classes(result)
    for deployment, counts in result.timeline.replicas.items():
        name, colour = names.get(deployment, deployment), colours.get(deployment, "other")
        if name in idle:
            continue
        series += [
            Series(name=f"{name} wanted", values=counts["desired"], colour=colour, dash="dot", step=True),
            Series(name=f"{name} ready", values=counts["ready"], colour=colour, step=True),
        ]
        peak, at = _peak(counts["ready"], result.timeline.seconds)
        told.append(f"{name} had at most {peak:.0f} ready pods, from {at} s on.")
    return Panel(
        key="replicas",
        title="Pods wanted and ready",
        unit="pods",
        note="What the scaler asked for, and what was ready to take work.",
        series=series,
        labelled_marks=True,
        summary=" ".join(told),
    )


def _latency(result: Result) -> Panel:
    line = result.timeline
    dashes = {"p50": "solid", "p95": "dash", "p99": "dot"}
    series = [
        Series(name=name, values=line.latency_seconds.get(name, ()), colour=f"latency-{name}", dash=dash)
        for name, dash in dashes.items()
    ]
    peak, at = _peak(line.latency_seconds.get("p95", ()), line.seconds)
    return Panel(
        key="latency",
        title="Time from first attempt to effect",
        unit="s",
        note=f"Percentiles of the tasks done in the last {line.latency_window_seconds} seconds.",
        series=series,
        digits=1,
        summary=f"The 95th percentile was highest at {at} s: {seconds(peak)}.",
    )


def _resource(result: Result, colours: Mapping[str, str], *, key: str, title: str, unit: str) -> Panel:
    """Use by class against what its pods request together; both in `unit`."""
    line = result.timeline
    used_by_class = line.cpu_cores if key == "cpu" else line.memory_bytes
    divisor = 1.0 if key == "cpu" else MIB
    request_key = "cpu_request_cores" if key == "cpu" else "memory_request_bytes"
    series: list[Series] = []
    hidden, told = [], []
    idle = idle_classes(result)
    for name, values in used_by_class.items():
        if name in idle:
            continue
        colour = colours.get(name, "other")
        used = _divided(values, divisor)
        series.append(Series(name=f"{name} used", values=used, colour=colour))
        peak, at = _peak(used, line.seconds)
        told.append(f"{name} used at most {_figure(peak, key)} {unit}, at {at} s.")
        each = (result.setup.get("classes", {}).get(name) or {}).get(request_key)
        requested = requested_by(result, name, each, divisor)
        most = max((value for value in requested if value is not None), default=0.0)
        if most and peak >= LIMIT_SHOWN_FROM_SHARE * most:
            series.append(Series(name=f"{name} requested", values=requested, colour=colour, dash="dot", step=True))
        elif most:
            hidden.append(f"{name} {_figure(most, key)} {unit}")
    note = f"{title} the pods of a class use together"
    note += (
        f"; far above the curve, they request at most {', '.join(hidden)}." if hidden else ", and what they request."
    )
    return Panel(
        key=key,
        title=title,
        unit=unit,
        note=note,
        series=series,
        digits=2 if key == "cpu" else 0,
        summary=" ".join(told),
    )


def requested_by(result: Result, name: str, each: float | None, divisor: float) -> list[float | None]:
    """Return what the running pods of a class request together, each of them `each`, in units of `divisor`."""
    deployment = (result.setup.get("classes", {}).get(name) or {}).get("deployment") or ""
    running = result.timeline.replicas.get(deployment, {}).get("running", ())
    if not each:
        return []
    return [None if value is None else value * each / divisor for value in running]


def _figure(value: float, key: str) -> str:
    return f"{value:,.2f}" if key == "cpu" else f"{value:,.0f}"


def _class_names(result: Result) -> dict[str, str]:
    """Deployment -> worker class."""
    return {each["deployment"]: name for name, each in result.setup.get("classes", {}).items() if "deployment" in each}


def _divided(values: Sequence[float | None], divisor: float) -> list[float | None]:
    return [None if value is None else round(value / divisor, 4) for value in values]


def _peak(values: Sequence[float | None], at: Sequence[int]) -> tuple[float, int]:
    """The largest value and the first second it was reached."""
    known = [(value, -second) for value, second in zip(values, at, strict=False) if value is not None]
    value, second = max(known, default=(0.0, 0))
    return float(value), -second


def _has_values(series: Series) -> bool:
    return any(value is not None for value in series.values)
