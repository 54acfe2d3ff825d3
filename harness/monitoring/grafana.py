"""The dashboards as Grafana's JSON, made with its own builders. Pure.

The classic form (not the resources of Grafana 12), as every Grafana since 10 and its sidecar's provisioning read it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    DataSourceRef,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TimeZoneBrowser,
    TooltipDisplayMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableRefresh,
)

from harness.monitoring.boards.board import TEMPLATES, Board, Panel, Query, Template
from harness.monitoring.boards.health import FIRING

SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
TAG = "celery-workers"
GLANCE_HEIGHT, HEIGHT = 4, 8
GREEN, YELLOW, RED = "green", "orange", "red"


def files(boards: Iterable[Board]) -> dict[str, str]:
    """Return the text of every dashboard by its file's name."""
    return {board.file_name: text(board) for board in boards}


def text(board: Board) -> str:
    """Return a dashboard as JSON, the same text each time."""
    return JSONEncoder(sort_keys=True, indent=1).encode(document(board).build()) + "\n"


def as_document(board: Board) -> dict[str, Any]:
    """Return a dashboard as plain data."""
    made: dict[str, Any] = json.loads(text(board))
    return made


def document(board: Board) -> dashboard.Dashboard:
    """Return the builder of a dashboard: rows and panels, whose alerts stand on every chart."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.help)
        .tags([TAG])
        .time(board.since, "now")
        .refresh(board.refresh)
        .timezone(TimeZoneBrowser)
        .editable()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .annotation(_alerts())
        .link(
            dashboard.DashboardLink("Celery workers")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
    )
    for template in TEMPLATES:
        made.with_variable(_variable(template))
    ids = itertools.count(1)
    for row in board.rows:
        made.with_row(dashboard.Row(row.title).id(next(ids)))
        for panel in row.panels:
            made.with_panel(_panel(panel).id(next(ids)))
    return made


def _alerts() -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name("Alerts")
        .datasource(SOURCE)
        .enable(True)
        .icon_color(RED)
        .expr(FIRING)
        .title_format("{{alertname}}")
        .text_format("{{severity}} {{class}} {{queue}}")
        .step("15s")
    )


def _variable(template: Template) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(template.name)
        .label(template.label)
        .datasource(SOURCE)
        .query(template.query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(False)
        .include_all(False)
    )


def _panel(panel: Panel) -> Any:
    made: Any = _KINDS[panel.kind](panel)  # the kinds share their methods, yet no type that has them
    made.title(panel.title).description(panel.help).unit(panel.unit).datasource(SOURCE)
    made.span(panel.width).height(_height(panel)).thresholds(_thresholds(panel))
    if panel.least is not None:
        made.min(panel.least)
    if panel.most is not None:
        made.max(panel.most)
    if panel.meanings:
        words = {str(value): ValueMappingResult(text=word) for value, word in panel.meanings}
        made.mappings([ValueMap(options=words)])
    for index, query in enumerate(panel.queries):
        made.with_target(_target(query, chr(ord("A") + index)))
    return made


def _height(panel: Panel) -> int:
    tall = panel.kind != "stat" if panel.tall is None else panel.tall
    return HEIGHT if tall else GLANCE_HEIGHT


def _target(query: Query, ref_id: str) -> prometheus.Dataquery:
    made = prometheus.Dataquery().datasource(SOURCE).expr(query.expression).legend_format(query.legend).ref_id(ref_id)
    return made.instant() if query.at_once else made.range()


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    """Return where the colour changes; where critical is the less of the two, everything below warning is bad."""
    if panel.warning is None or panel.critical is None:
        steps = [Threshold(value=None, color=GREEN)]
    elif panel.critical > panel.warning:
        steps = [Threshold(None, GREEN), Threshold(panel.warning, YELLOW), Threshold(panel.critical, RED)]
    elif panel.critical == 0:
        steps = [Threshold(None, RED), Threshold(panel.warning, GREEN)]
    else:
        steps = [Threshold(None, RED), Threshold(panel.critical, YELLOW), Threshold(panel.warning, GREEN)]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _timeseries(panel: Panel) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(20 if panel.stacked else 5)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    if panel.stacked:
        made.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if panel.warning is not None:
        made.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.LINE))
    for index, query in enumerate(panel.queries):
        if properties := _own(query):
            made.override_by_query(chr(ord("A") + index), properties)
    return made


def _own(query: Query) -> list[DynamicConfigValue]:
    """Return how a query's curves differ from the rest of their panel."""
    made = []
    if query.limit:
        dashes: Mapping[str, object] = {"fill": "dash", "dash": [8, 6]}
        made += [
            DynamicConfigValue("custom.lineStyle", dashes),
            DynamicConfigValue("custom.fillOpacity", 0),
            DynamicConfigValue("custom.stacking", {"mode": "none"}),
        ]
    if query.unit is not None:
        made += [DynamicConfigValue("unit", query.unit), DynamicConfigValue("custom.axisPlacement", "right")]
    return made


def _stat(panel: Panel) -> stat.Panel:
    return stat.Panel().reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def _bars(panel: Panel) -> bargauge.Panel:
    return (
        bargauge.Panel()
        .orientation(VizOrientation.HORIZONTAL)
        .display_mode(BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


_KINDS = {"timeseries": _timeseries, "stat": _stat, "bars": _bars}
