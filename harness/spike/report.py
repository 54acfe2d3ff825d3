"""The report: a result as one HTML page that needs nothing else, and the folder runs are kept in."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from harness.errors import InputError
from harness.files import write_atomically
from harness.spike import forecast, words
from harness.spike import result as results
from harness.spike.panels import Beside, alert_name, marks, panels
from harness.spike.result import Result
from harness.spike.timeline import Timeline

FILE_NAME = "report.html"
LATEST = "latest"
GIB = 1024**3
NOT_THERE = "-"

# One set of colours for the page and the charts; each pair keeps a contrast of at least 4.5 to its page (text) or 3.
PALETTE: Mapping[str, Mapping[str, str]] = {
    "light": {
        "page": "#ffffff", "card": "#f6f7f8", "ink": "#1b1f24", "soft": "#57606a", "line": "#dfe3e6", "link": "#0b5cad",
        "good": "#1a7f37", "good-tint": "#e9f6ec", "bad": "#b42318", "bad-tint": "#fdeeec",
        "warn": "#8a5a00", "warn-tint": "#fdf4e0",
        "series-1": "#0b6bcb", "series-2": "#c2410c", "series-3": "#15803d",
        "series-4": "#7c3aed", "series-5": "#0e7490", "series-6": "#a16207", "other": "#57606a",
        "arrived": "#57606a", "done": "#0f8a6d", "refused": "#c0261c", "limit": "#b42318",
        "latency-p50": "#6d28d9", "latency-p95": "#9d5cf0", "latency-p99": "#b3459b",
    },
    "dark": {
        "page": "#14171a", "card": "#1d2125", "ink": "#e6e9ec", "soft": "#9aa4ae", "line": "#333a41", "link": "#79b8ff",
        "good": "#4cc96b", "good-tint": "#15261a", "bad": "#ff7b6e", "bad-tint": "#2d1a18",
        "warn": "#e3b341", "warn-tint": "#2a2413",
        "series-1": "#5aa9ff", "series-2": "#fb923c", "series-3": "#4ade80",
        "series-4": "#c4b5fd", "series-5": "#22d3ee", "series-6": "#facc15", "other": "#9aa4ae",
        "arrived": "#aab4be", "done": "#35d0a5", "refused": "#ff7b6e", "limit": "#ff7b6e",
        "latency-p50": "#b794ff", "latency-p95": "#d3b8ff", "latency-p99": "#f08bd6",
    },
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of its own section: `rows` are cells as text, `bad` which of the rows did not hold."""

    title: str
    hint: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    bad: Collection[int] = ()


def render(result: Result, *, tables: Sequence[Table] = (), beside: Beside | None = None) -> str:
    """Return the page. It loads nothing, and shows whatever came from the run as plain text.

    `tables` stand below the objectives. `beside` is drawn on the same axes; without one, what was foretold is.
    """
    drawn = panels(result, beside or _foretold(result))
    drawing = {
        "seconds": result.timeline.seconds,
        "panels": [panel.as_dict() for panel in drawn],
        "marks": [asdict(mark) for mark in marks(result)],
        "palette": PALETTE,
    }
    return (
        page_templates()
        .get_template("report.html.j2")
        .render(
            result=result,
            verdict=words.verdict(result),
            story=words.story(result),
            tables=[*tables, *_comparison(result), *_alerts(result)],
            started=datetime.fromtimestamp(result.started_at, UTC).strftime("%Y-%m-%d %H:%M UTC"),
            duration=words.seconds(result.duration_seconds),
            figures=_figures(result),
            broken=sum(not rule.passed for rule in result.rules),
            panels=drawn,
            marks=drawing["marks"],
            drawing=drawing,
            flow_steps=_flow(result),
            groups=_groups(result),
            columns=COLUMNS,
            setup_pairs=_setup_pairs(result),
            setup_tables=setup_tables(result.setup),
            files=[
                *([] if result.foretold else [(results.FILE_NAME, results.FILE_NAME)]),
                *((label, quote(path)) for label, path in result.files.items()),
            ],
            palette=PALETTE,
            plotly_js=plotly_js(),
        )
    )


def write(result: Result, directory: Path, *, tables: Sequence[Table] = (), beside: Beside | None = None) -> Path:
    """Write report.html into the run's directory and return its path; the rest as `render`."""
    return write_atomically(directory / FILE_NAME, render(result, tables=tables, beside=beside))


def _foretold(result: Result) -> Beside | None:
    if result.forecast is None:
        return None
    return Beside("foretold", Timeline.from_dict(result.forecast["timeline"]))


def _comparison(result: Result) -> list[Table]:
    """What was foretold and what came of it; a figure that was foretold wrongly fails no objective."""
    compared = forecast.compare(result)
    if not compared or result.forecast is None:
        return []
    held = sum(one.passed for one in compared)
    source = result.forecast["calibration"].get("source", "unknown")
    return [
        Table(
            title="Foretold and measured",
            hint=f"Written before the load began, from figures of workers that were {source_words(source)}. "
            f"{held} of {len(compared)} hold: at most {forecast.TOLERATED_SHARE:.0%} off, the same steps of pods.",
            heads=("Figure", "Foretold", "Measured", "Difference", "Holds"),
            rows=[(one.title, one.foretold, one.measured, one.difference, _yes(one.passed)) for one in compared],
            bad=[index for index, one in enumerate(compared) if not one.passed],
        )
    ]


def _alerts(result: Result) -> list[Table]:
    """The alerts that fired; none where nobody watched."""
    if result.alerts is None:
        return []
    rows = [
        (
            alert_name(one),
            one["severity"],
            words.seconds(one["start"]),
            "-" if one["end"] is None else words.seconds(one["end"]),
            words.seconds((result.duration_seconds if one["end"] is None else one["end"]) - one["start"]),
        )
        for one in result.alerts
    ]
    hint = (
        "What Prometheus recorded, in seconds since the load began; one without an end still fired when the run ended."
    )
    return [
        Table(
            title="Alerts that fired",
            hint=hint if rows else "A Prometheus watched the run, and no alert fired.",
            heads=("Alert", "Severity", "From", "To", "For"),
            rows=rows,
            bad=[index for index, one in enumerate(result.alerts) if one["severity"] == "critical"],
        )
    ]


def source_words(source: str) -> str:
    """Say where figures of workers are from."""
    return "assumed" if source == "assumed" else f"measured by {source}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


# --- the folder of runs ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One run's directory and result."""

    directory: Path
    result: Result


def runs(reports: Path) -> list[Run]:
    """Return the runs that have a readable result, newest first."""
    found = []
    for path in reports.glob(f"*/{results.FILE_NAME}"):
        if path.parent.is_symlink() or path.parent.name.startswith("."):  # `latest`; a run that is still being made
            continue
        with contextlib.suppress(InputError):
            found.append(Run(path.parent, results.read(path)))
    return sorted(found, key=lambda run: (run.result.started_at, run.directory.name), reverse=True)


def find(reports: Path, name: str | None) -> Run:
    """Return the named run (a folder of `reports`, or a path), the newest without a name. Raises InputError."""
    if name is None:
        known = runs(reports)
        if not known:
            raise InputError(f"{reports}: no run there; `make spike` makes one")
        return known[0]
    for directory in places(reports, name):
        if (directory / results.FILE_NAME).is_file():
            return Run(directory, results.read(directory))
    for directory in filter(Path.is_dir, places(reports, name)):
        raise InputError(f"{directory}: no finished run: it has no {results.FILE_NAME}; its logs say how far it came")
    names = ", ".join(run.directory.name for run in runs(reports)[:5]) or "none"
    raise InputError(f"{name}: no such run in {reports}; newest: {names}")


def places(reports: Path, name: str) -> tuple[Path, ...]:
    """Return which folders may be meant by a name: one of `reports`, a path, the path of a file in it."""
    path = Path(name)
    return reports / name, *([path.parent] if path.is_file() else [path])


def point_latest(directory: Path) -> Path:
    """Make `latest`, beside the run's directory, point to it; replaced at once, never missing in between."""
    link = directory.parent / LATEST
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".latest-") as scratch:
        fresh = Path(scratch) / LATEST
        fresh.symlink_to(directory.name, target_is_directory=True)
        fresh.replace(link)
    return link


# --- what the page shows ---------------------------------------------------------------------------------------------


def _figures(result: Result) -> list[dict[str, Any]]:
    """The few numbers at the top."""
    counts = result.counts
    ideal = result.ideal_drain_seconds
    drained = result.drain_seconds is not None
    never = counts.refused_finally
    return [
        {
            "label": "Tasks done",
            "value": f"{counts.completed:,}",
            "aside": f"of {counts.offered:,} offered",
            "bad": counts.completed < counts.offered,
        },
        {
            "label": "Tasks lost",
            "value": f"{counts.lost:,}",
            "aside": f"of {counts.accepted:,} accepted",
            "bad": counts.lost > 0,
        },
        {
            "label": "Backlog gone after",
            "value": words.seconds(result.drain_seconds) if drained else "never",
            "aside": f"ideal {words.seconds(ideal)}" if ideal else "last due to last effect",
            "bad": not drained,
        },
        {
            "label": "95 % done within",
            "value": words.seconds(result.latency_seconds.get("p95")),
            "aside": f"half within {words.seconds(result.latency_seconds.get('p50'))}",
            "bad": False,
        },
        {
            "label": "Tasks refused at first",
            "value": f"{counts.refused_tasks:,}",
            "aside": f"{never:,} of them for good"
            if never
            else "all accepted later"
            if counts.refused_tasks
            else "none",
            "bad": never > 0,
        },
        {"label": "Most pods ready", "value": _most_pods(result), "aside": _pod_aside(result), "bad": False},
    ]


def _pods(result: Result) -> dict[str, list[int]]:
    """Ready pods, second by second, of each class that had work."""
    classes = {each.get("deployment"): name for name, each in result.setup.get("classes", {}).items()}
    idle = words.idle_classes(result)
    found = {}
    for deployment, series in result.timeline.replicas.items():
        name = classes.get(deployment, deployment)
        known = [int(value) for value in series["ready"] if value is not None]
        if known and name not in idle:
            found[name] = known
    return found


def _most_pods(result: Result) -> str:
    return f"{sum(max(known) for known in _pods(result).values())}" if _pods(result) else "unknown"


def _pod_aside(result: Result) -> str:
    return ", ".join(f"{name} {known[0]} → {max(known)}" for name, known in _pods(result).items())


def _flow(result: Result) -> list[dict[str, Any]]:
    """The ledger as steps whose parts add up to their whole."""
    counts = result.counts
    stored = f"{counts.refused_stored:,} kept in a dead-letter queue" if counts.refused_stored else ""
    accepted = [
        f"{counts.refused_then_accepted:,} refused at first" if counts.refused_then_accepted else "",
        f"{counts.resolved_late:,} without a confirm" if counts.resolved_late else "",
    ]
    deaths = [(name, getattr(counts, name)) for name in ("expired", "failed", "poison", "dropped")]
    dead = ", ".join(f"{count:,} {name}" for name, count in deaths if count)
    again = f"{result.duplicated:,} effects again" if result.duplicated else ""
    return [
        _step(
            "tasks offered",
            counts.offered,
            ("accepted", counts.accepted, "neutral", ", ".join(filter(None, accepted))),
            ("refused for good", counts.refused_finally, "bad", stored),
            ("unconfirmed", counts.unconfirmed, "warn", "nobody knows whether the broker had them"),
        ),
        _step(
            "tasks accepted",
            counts.accepted,
            ("done", counts.completed, "good", again),
            ("dead-lettered", counts.dead_lettered, "warn", dead),
            ("lost", counts.lost, "bad", ""),
            ("unfinished", counts.in_flight, "warn", "still queued when the run ended"),
        ),
    ]


def _step(label: str, total: int, *parts: tuple[str, int, str, str]) -> dict[str, Any]:
    return {
        "label": label,
        "total": total,
        "parts": [
            {"label": name, "count": count, "tone": f"tone-{tone}", "detail": detail if count else ""}
            for name, count, tone, detail in parts
        ],
    }


@dataclass(frozen=True)
class Column:
    """A column of the tables by task, queue and phase."""

    label: str
    key: str
    is_time: bool = False

    def text(self, row: Mapping[str, float | None]) -> str:
        """Return the cell's text."""
        value = row.get(self.key)
        if self.is_time:
            return NOT_THERE if value is None else words.seconds(value)
        return f"{value or 0:,.0f}"


COLUMNS = (
    Column("Offered", "offered"),
    Column("Done", "completed"),
    Column("Refused first", "refused_tasks"),
    Column("For good", "refused_finally"),
    Column("Dead-lettered", "dead_lettered"),
    Column("Lost", "lost"),
    Column("p50", "p50", is_time=True),
    Column("p95", "p95", is_time=True),
    Column("p99", "p99", is_time=True),
    Column("Slowest", "max", is_time=True),
)


def _groups(result: Result) -> list[dict[str, Any]]:
    tables = [
        ("By queue", "Queue", result.by_queue),
        ("By phase", "Phase", result.by_phase),
        ("By group of tasks and phase", "Group, phase", _group_rows(result)),
        ("By task", "Task", result.by_task),
    ]
    return [{"title": title, "what": what, "rows": rows, "open": len(rows) > 1} for title, what, rows in tables if rows]


def _group_rows(result: Result) -> dict[str, Mapping[str, float | None]]:
    return {f"{group}, {phase}": row for group, rows in result.by_group.items() for phase, row in rows.items()}


def _setup_pairs(result: Result) -> list[tuple[str, str]]:
    setup = result.setup
    machine = setup.get("machine", {})
    memory = machine.get("memory_bytes")
    parts = [
        f"{machine['cores']} cores" if machine.get("cores") else "",
        _gib(memory) if memory else "",
        machine.get("system", ""),
    ]
    pairs = [
        ("Run", result.run_id),
        ("Values files, in order", ", ".join(setup.get("values_files", ()))),
        ("Chart", setup.get("chart_version")),
        ("Commit", setup.get("commit")),
        ("Machine", ", ".join(filter(None, parts))),
        ("Workers' figures", setup.get("figures")),
        ("Versions", ", ".join(f"{name} {value}" for name, value in setup.get("versions", {}).items())),
        ("First attempts after their due time", _lag(result)),
        ("First added pod ready", _first_added(result)),
    ]
    return [(label, str(value)) for label, value in pairs if value]


def _lag(result: Result) -> str:
    lag = result.publisher_lag_seconds
    if lag.get("max") is None:
        return ""
    return f"half within {words.seconds(lag.get('p50'))}, the latest {words.seconds(lag.get('max'))}"


def _first_added(result: Result) -> str:
    value = result.first_added_ready_seconds
    return "none was added" if value is None else f"{words.seconds(value)} after the load began"


def setup_tables(setup: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tables of classes and queues that a report shows."""
    tables = []
    if setup.get("classes"):
        heads = ["Class", "Pool", "Tasks at once per pod", "Scaler", "Pods", "CPU request", "Memory request"]
        rows = [[name, *_class_cells(each)] for name, each in setup["classes"].items()]
        tables.append({"heads": heads, "rows": rows})
    if setup.get("queues"):
        heads = ["Queue", "Class", "Type", "Limit", "When full", "Message lives"]
        rows = [[name, *_queue_cells(each)] for name, each in setup["queues"].items()]
        tables.append({"heads": heads, "rows": rows})
    return tables


def _class_cells(each: Mapping[str, Any]) -> list[str]:
    return [
        _cell(each.get("pool")),
        _cell(each.get("concurrency")),
        _cell(each.get("scaler")),
        f"{_cell(each.get('minimum'))} to {_cell(each.get('maximum'))}",
        _cell(each.get("cpu_request_cores"), lambda value: f"{value:g} cores"),
        _cell(each.get("memory_request_bytes"), _gib),
    ]


def _queue_cells(each: Mapping[str, Any]) -> list[str]:
    return [
        _cell(each.get("class")),
        _cell(each.get("type")),
        _cell(each.get("max_length_messages"), lambda value: f"{value:,}"),
        _cell(each.get("overflow")),
        _cell(each.get("message_ttl_seconds"), lambda value: f"{value:,.0f} s"),
    ]


def _cell(value: Any, text: Callable[[Any], str] = str) -> str:
    return NOT_THERE if value is None else text(value)


def _gib(value: float) -> str:
    return f"{value / GIB:.3g} GiB"


# --- template --------------------------------------------------------------------------------------------------------


@cache
def page_templates(package: str = "harness.spike") -> Environment:
    """Return what renders the templates of a package, which may include those of this one."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "templates"), PackageLoader("harness.spike", "templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"seconds": words.seconds, "number": lambda value: f"{value:,}"}
    return environment


@cache
def plotly_js() -> str:
    """Return the library that draws the charts, to be put into a page."""
    from plotly.offline import get_plotlyjs  # a slow import that only a page needs

    return str(get_plotlyjs())
