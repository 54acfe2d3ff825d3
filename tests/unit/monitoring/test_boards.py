"""The dashboards as data and as Grafana's JSON: whole, with units, and of this release only."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest

from harness.chart.values import defaults
from harness.monitoring import grafana
from harness.monitoring.boards import boards
from harness.monitoring.boards.board import Board, Panel

ALERTS = defaults()["monitoring"]["alerts"]
BOARDS = boards(ALERTS)
PANELS = [pytest.param(panel, id=f"{board.name}: {panel.title}") for board in BOARDS for panel in board.panels]
each_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_says_what_it_shows_and_in_which_unit(panel: Panel) -> None:
    assert panel.unit
    assert panel.help.endswith(".")
    assert panel.queries
    for query in panel.queries:
        assert query.legend
        # Only this release's: the whole expression is about series that are matched by namespace or release.
        names = re.findall(r"\b((?:ALERTS|celery_workers|kube|container)[a-z0-9_:]*)\{([^}]*)\}", query.expression)
        assert names
        assert all('namespace="$namespace"' in matchers for _, matchers in names)
        assert all("$release" in matchers for _, matchers in names)


@each_board
def test_the_json_has_every_panel_with_its_unit_once(board: Board) -> None:
    document = grafana.as_document(board)
    shown = [panel for panel in document["panels"] if panel["type"] != "row"]
    assert [panel["title"] for panel in shown] == [panel.title for panel in board.panels]
    assert max(Counter(panel["title"] for panel in shown).values()) == 1
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in shown)
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)
    assert {target["datasource"]["uid"] for panel in shown for target in panel["targets"]} == {"$datasource"}


@each_board
def test_panels_do_not_overlap_and_fill_their_rows(board: Board) -> None:
    taken: Counter[tuple[int, int]] = Counter()
    for panel in grafana.as_document(board)["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        taken.update((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"]))
    assert set(taken.values()) == {1}
    holes = [y for y, width in Counter(y for _, y in taken).items() if width != 24]
    assert holes == []


@each_board
def test_a_viewer_chooses_source_namespace_and_release(board: Board) -> None:
    document = grafana.as_document(board)
    variables = document["templating"]["list"]
    assert [one["name"] for one in variables] == ["datasource", "namespace", "release"]
    assert 'celery_workers_exporter_up{namespace="$namespace"}' in variables[2]["query"]
    assert document["uid"] == f"celery-workers-{board.name}"
    assert "ALERTS" in document["annotations"]["list"][0]["expr"]


def test_titles_and_file_names_differ() -> None:
    assert max(Counter(board.title for board in BOARDS).values()) == 1
    assert sorted(grafana.files(BOARDS)) == ["cost.json", "performance.json", "spike-replay.json", "worker-health.json"]


def test_thresholds_rise_in_value_whichever_end_is_bad() -> None:
    for board in BOARDS:
        for panel in grafana.as_document(board)["panels"]:
            steps = panel.get("fieldConfig", {}).get("defaults", {}).get("thresholds", {}).get("steps", [])
            values = [step["value"] for step in steps]
            assert values[:1] in ([], [None])
            assert all(lower < higher for lower, higher in pairwise(values[1:]))


def test_limits_are_those_of_the_alerts_wherever_they_stand() -> None:
    lower = ALERTS | {"queueFilling": {"abovePercent": 40}, "queueNearlyFull": {"abovePercent": 62.5}}
    shown = {panel.title: panel for panel in boards(lower)[0].panels}
    full = shown["How full, by queue"]
    assert (full.warning, full.critical) == (0.4, 0.625)
    assert full.help.endswith("Above 40 % warns, above 62.5 % is critical.")
    usual = {panel.title: panel for board in BOARDS for panel in board.panels}
    assert (usual["Fullest queue"].warning, usual["Fullest queue"].critical) == (0.5, 0.8)
    assert usual["Memory of the limit, by class"].warning == 0.85
    assert not [title for title, panel in usual.items() if "{" in panel.help]
