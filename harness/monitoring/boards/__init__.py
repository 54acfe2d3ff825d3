"""The dashboards, as data: which panels there are and what each asks. `harness.monitoring.grafana` makes JSON of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.monitoring.boards.board import Board
from harness.monitoring.boards.cost import COST
from harness.monitoring.boards.health import HEALTH
from harness.monitoring.boards.performance import PERFORMANCE
from harness.monitoring.boards.replay import REPLAY


def boards(alerts: Mapping[str, Any]) -> tuple[Board, ...]:
    """Return the dashboards; `alerts` is the values' monitoring.alerts, whose limits the panels show."""
    return tuple(board.with_limits(alerts) for board in (HEALTH, PERFORMANCE, COST, REPLAY))
