"""A calibration's figures for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.planning.figures import MIB, POD_CORES, START_ALONE, CostAtRates, Figures, PoolFigures
from harness.tables import table_of

FACTOR = "cpu_factor"


def shown(figures: Figures, path: Path) -> RenderableType:
    """Return everything to be printed: each pool's figures, the machine's, and what was not measured."""
    head = Text(f"measured by {figures.source} ({figures.runtime}):")
    return Group(head, _pools(figures), *map(Text, _lines(figures)), Text(f"kept in {path}"))


def _pools(figures: Figures) -> Table:
    table = table_of("pool", "takes tasks>", "ready>", "start CPU>", "task CPU>", "overhead>", "idle cores>", "memory>")
    for pool, one in figures.pools.items():
        table.add_row(pool, *_cells(one))
    return table


def _cells(one: PoolFigures) -> tuple[str, ...]:
    return (
        f"{one.start_seconds:.1f} s",
        f"{one.ready_seconds:.1f} s",
        f"{one.start_cpu_seconds:.1f} s",
        f"{one.cpu_factor:.2f} x",
        f"{one.overhead_seconds * 1000:.0f} ms",
        f"{one.idle_cores:.3f}",
        f"{one.memory_bytes / MIB:.0f} MiB",
    )


def _lines(figures: Figures) -> Iterator[str]:
    yield (
        f"publisher, broker and stand-ins cost {figures.host_factor:.2f} times the CPU time that scenarios state"
        f"{_in_a_crowd(figures.host_cost)}"
    )
    for pool, one in figures.pools.items():
        if one.message_cost is not None:
            milliseconds = 1000 * one.message_cpu_seconds
            yield f"a message costs a {pool} worker {milliseconds:.1f} ms{_in_a_crowd(one.message_cost)}"
    if figures.background_cores is not None:
        each = "" if figures.pod_cores is None else f", and {figures.pod_cores:.3f} for each pod"
        yield f"besides the workers the machine is busy with {figures.background_cores:.2f} cores at rest{each}"
    as_others = _as_others(figures)
    if as_others:
        yield f"too little CPU time to measure a task's, so it has the mean of the others: {', '.join(as_others)}"
    told = {
        POD_CORES,
        *(f"{pool}.{FACTOR}" for pool in as_others),
        *(f"{pool}.{START_ALONE}" for pool in figures.never_alone),
    }
    lacking = [name for name in figures.assumed if name not in told]
    if lacking:
        yield f"not measured, taken as assumed: {', '.join(lacking)}"
    if figures.never_alone:
        yield (
            f"no worker started alone: {', '.join(figures.never_alone)}; the start beside others that counts instead "
            "took longer, so plans have added pods too late: calibrate again"
        )


def _in_a_crowd(cost: CostAtRates | None) -> str:
    if cost is None:
        return ""
    return f" at {cost.per_second:.0f} a second, {cost.crowd_share:.0%} of that at {cost.crowd_per_second:.0f}"


def _as_others(figures: Figures) -> list[str]:
    """Return the pools whose tasks cost what the mean of other pools' do, which were measured."""
    measured = {pool for pool in figures.pools if not {pool, f"{pool}.{FACTOR}"} & {*figures.assumed}}
    return [pool for pool in figures.pools if measured and f"{pool}.{FACTOR}" in figures.assumed]
