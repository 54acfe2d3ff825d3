"""The part of docs/reference/dashboards.md that follows from the dashboards. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.monitoring.boards.board import Board

MARKER = "<!-- below: written by `make golden` from harness/monitoring/boards -->\n"
UNITS = {"short": "number", "percentunit": "%", "s": "seconds", "bytes": "bytes", "Bps": "bytes/s"}


def insert(document: str, boards: Iterable[Board]) -> str:
    """Return the document with everything below MARKER written anew."""
    return document.partition(MARKER)[0] + MARKER + "\n" + "\n".join(_sections(boards))


def unit(name: str) -> str:
    """Return Grafana's unit as a person reads it."""
    return UNITS.get(name, name.removeprefix("suffix:"))


def _sections(boards: Iterable[Board]) -> Iterator[str]:
    for board in boards:
        yield f"## {board.title}: `{board.file_name}`\n\n{board.help}\n"
        for row in board.rows:
            rows = [f"| {panel.title} | {unit(panel.unit)} | {panel.help} |" for panel in row.panels]
            yield "\n".join([f"### {row.title}\n", "| panel | unit | what it shows |", "|---|---|---|", *rows]) + "\n"
