"""Several calibrations as one: each figure's median of the runs that show it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import Any

from harness.errors import InputError
from harness.planning.figures import (
    BACKGROUND,
    MESSAGE_COST,
    POD_CORES,
    START_ALONE,
    CostAtRates,
    Figures,
    PoolFigures,
)
from harness.planning.measured_class import cost_at_rates

MESSAGE_CPU = "message_cpu_seconds"
STARTS = ("start_seconds", "ready_seconds", "start_cpu_seconds")
HOST_CPU, HOST_FACTOR = "host_cpu_seconds", "host_factor"
GIB = 1024**3
WHOLE = ("memory_bytes", "memory_bytes_per_task")
ONCE = ("confirm_seconds", HOST_FACTOR, BACKGROUND, POD_CORES)
"""Figures that are not a pool's."""


def together(found: Sequence[Figures]) -> Figures:
    """Return the figures of one or more calibrations of the same runtime and machine; each counts as much.

    One run's figures scatter by what a machine does besides, a start by most of a second. What none of them shows stays
    as assumed, and is named. Raises InputError where the runtimes or the machines differ, or for none at all.
    """
    runtimes = sorted({one.runtime for one in found})
    if len(runtimes) != 1:
        raise InputError(f"calibrations of {' and '.join(runtimes) or 'no run'}: name runs of one runtime")
    other = next((one for one in found if _computer(one) != _computer(found[0])), None)
    if other is not None:
        raise InputError(
            f"{found[0].source} was measured with {_computer(found[0])}, {other.source} with {_computer(other)}: "
            "name runs of one machine"
        )
    if len(found) == 1:
        return found[0]
    last = max(found, key=lambda one: one.measured_at or 0.0)
    once = {name: _middle(found, [name], attrgetter(name)) for name in ONCE}
    return replace(
        last,
        **once,
        pools={pool: _pool(pool, found) for pool in last.pools},
        host_cost=_cost(one.host_cost for one in found),
        source=", ".join(one.source for one in found),
        assumed=tuple(name for name in last.assumed if all(name in one.assumed for one in found)),
    )


def several(
    runs: Iterable[Path], measure: Callable[[Path], Figures], *, left_out: Callable[[InputError], None]
) -> Figures:
    """Return the figures of these runs together.

    A run that `measure` refuses, as one that something else disturbed, is handed to `left_out` and does not count.
    Raises InputError where none is left.
    """
    found = []
    for run in runs:
        try:
            found.append(measure(run))
        except InputError as error:
            left_out(error)
    if not found:
        raise InputError("no run shows what is to be measured: see what was left out, and calibrate again")
    return together(found)


def _computer(one: Figures) -> str:
    cores, memory = one.machine.get("cores", "unknown"), one.machine.get("memory_bytes")
    size = "unknown memory" if memory is None else f"{memory / GIB:.0f} GiB"
    return f"{cores} cores and {size}"


def _pool(pool: str, found: Sequence[Figures]) -> PoolFigures:
    numbers = [item.name for item in fields(PoolFigures) if item.name not in (MESSAGE_COST, MESSAGE_CPU)]
    values: dict[str, Any] = {name: _middle(found, _told_by(pool, name), _of_pool(pool, name)) for name in numbers}
    values |= {name: round(values[name]) for name in WHOLE}
    priced = [one.of(pool) for one in found if one.of(pool).message_cost is not None]
    return PoolFigures(
        **values,
        message_cpu_seconds=median(one.message_cpu_seconds for one in priced) if priced else 0.0,
        message_cost=_cost(one.message_cost for one in priced),
    )


def _told_by(pool: str, name: str) -> tuple[str, ...]:
    """Return what a run must not have assumed to show a pool's figure; a start beside others shows none."""
    if name == HOST_CPU:
        return (HOST_FACTOR,)
    own = f"{pool}.{name}"
    return (own, f"{pool}.{START_ALONE}") if name in STARTS else (own,)


def _of_pool(pool: str, name: str) -> Callable[[Figures], float]:
    return lambda one: float(getattr(one.of(pool), name))


def _middle(found: Sequence[Figures], names: Iterable[str], value: Callable[[Figures], float | None]) -> Any:
    """Return a figure's median of the runs that show it, assuming none of `names`; of all where none does."""
    showing = [one for one in found if not {*names} & {*one.assumed}] or list(found)
    known = [each for each in map(value, showing) if each is not None]
    return median(known) if known else None


def _cost(costs: Iterable[CostAtRates | None]) -> CostAtRates | None:
    known = [cost for cost in costs if cost is not None]
    if not known:
        return None
    with_few = [cost for cost in known if cost.shows_few]
    steady, crowd, share = (
        median(getattr(cost, name) for cost in known) for name in ("per_second", "crowd_per_second", "crowd_share")
    )
    few = None
    if with_few:
        few = median(cost.few_per_second for cost in with_few), median(cost.few_share for cost in with_few)
    return cost_at_rates(steady, (crowd, share), few)
