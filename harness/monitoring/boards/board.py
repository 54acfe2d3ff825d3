"""What a dashboard is made of. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

# Units as Grafana names them; what follows `suffix:` is written behind the figure.
COUNT = "short"
SHARE = "percentunit"
SECONDS = "s"
BYTES = "bytes"
BYTES_PER_SECOND = "Bps"
MESSAGES = "suffix:messages"
TASKS = "suffix:tasks"
TASKS_PER_SECOND = "suffix:tasks/s"
TASKS_PER_HOUR = "suffix:tasks/h"
PODS = "suffix:pods"
CORES = "suffix:cores"
EVENTS = "suffix:changes"
ALERTS = "suffix:alerts"
# The currency is that of the prices in the values (monitoring.*), which no dashboard can know.
MONEY_PER_HOUR = "suffix:per hour"
MONEY_PER_MONTH = "suffix:per month"
MONEY_PER_THOUSAND = "suffix:per 1,000 tasks"
MONEY = "suffix:in all"

HALF, WHOLE, QUARTER, SIXTH, THIRD = 12, 24, 6, 4, 8


@dataclass(frozen=True)
class Query:
    """One PromQL expression and how each of its series is called, in Grafana's form ({{label}})."""

    expression: str
    legend: str
    limit: bool = False  # drawn dashed: what the rest is measured against
    unit: str | None = None  # its own, drawn on the right
    at_once: bool = False  # only the newest value is asked for


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel. `warning` and `critical` are where its colour changes; a panel counts down where critical is less.

    Where an alert has such a limit, `warning_of` and `critical_of` name it as the values do; `help` then says {warning}
    or {critical} for it.
    """

    title: str
    unit: str
    queries: Sequence[Query]
    help: str
    kind: str = "timeseries"  # | stat | bars
    width: int = HALF
    tall: bool | None = None  # as a chart; a figure is not unless it stands beside one
    warning: float | None = None
    critical: float | None = None
    warning_of: str | None = None
    critical_of: str | None = None
    stacked: bool = False
    least: float | None = 0.0
    most: float | None = None
    meanings: Sequence[tuple[int, str]] = ()  # a value and the word for it


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, kw_only=True)
class Board:
    """One dashboard; `name` is its file's and makes its uid, by which links find it."""

    name: str
    title: str
    help: str
    rows: Sequence[Row]
    since: str = "now-1h"
    refresh: str = "30s"

    @property
    def file_name(self) -> str:
        """Name of its file."""
        return f"{self.name}.json"

    @property
    def uid(self) -> str:
        """What it is known by in every Grafana."""
        return f"celery-workers-{self.name}"

    @property
    def panels(self) -> list[Panel]:
        """Every panel, in order."""
        return [panel for row in self.rows for panel in row.panels]

    def with_limits(self, alerts: Mapping[str, Any]) -> Board:
        """Return it with the limits of the alerts that its panels name; `alerts` is the values' monitoring.alerts."""
        rows = [Row(row.title, [_with_limits(panel, alerts) for panel in row.panels]) for row in self.rows]
        return replace(self, rows=rows)


def _with_limits(panel: Panel, alerts: Mapping[str, Any]) -> Panel:
    wanted = {"warning": panel.warning_of, "critical": panel.critical_of}
    percent = {name: alerts[alert]["abovePercent"] for name, alert in wanted.items() if alert is not None}
    if not percent:
        return panel
    told = {name: f"{value:g} %" for name, value in percent.items()}
    limits = {name: value / 100 for name, value in percent.items()}
    return replace(panel, help=panel.help.format(**told), **limits)


@dataclass(frozen=True)
class Template:
    """A variable a viewer chooses from, filled by a query of Grafana's own (label_values)."""

    name: str
    label: str
    query: str


TEMPLATES = (
    Template("namespace", "Namespace", "label_values(celery_workers_exporter_up, namespace)"),
    Template("release", "Release", 'label_values(celery_workers_exporter_up{namespace="$namespace"}, release)'),
)
