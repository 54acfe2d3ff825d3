"""The dashboards, as data: which panels there are and what each asks. `harness.monitoring.grafana` makes JSON of it."""

from __future__ import annotations

from harness.monitoring.boards.board import Board
from harness.monitoring.boards.cost import COST
from harness.monitoring.boards.health import HEALTH
from harness.monitoring.boards.performance import PERFORMANCE
from harness.monitoring.boards.replay import REPLAY

BOARDS: tuple[Board, ...] = (HEALTH, PERFORMANCE, COST, REPLAY)
