"""Tables on a terminal."""

from __future__ import annotations

from rich.table import Table


def table_of(*columns: str) -> Table:
    """Return an empty table; a column whose name ends with > is aligned to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        name, right = column.removesuffix(">"), column.endswith(">")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table
