"""Several calibrations as one: each figure's median of the runs that show it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from operator import attrgetter
from statistics import median
from typing import Any

from harness.errors import InputError
from harness.planning.figures import MESSAGE_COST, CostAtRates, Figures, PoolFigures

MESSAGE_CPU = "message_cpu_seconds"
WHOLE = ("memory_bytes", "memory_bytes_per_task")
ONCE = ("confirm_seconds", "host_factor", "background_cores", "pod_cores")
"""Figures that are not a pool's."""


def together(found: Sequence[Figures]) -> Figures:
    """Return the figures of one or more calibrations of the same runtime; each counts as much.

    One run's figures scatter by what a machine does besides, a start by most of a second. What none of them shows stays
    as assumed, and is named. Raises InputError where the runtimes differ, or for none at all.
    """
    runtimes = sorted({one.runtime for one in found})
    if len(runtimes) != 1:
        raise InputError(f"calibrations of {' and '.join(runtimes) or 'no run'}: name runs of one runtime")
    if len(found) == 1:
        return found[0]
    last = max(found, key=lambda one: one.measured_at or 0.0)
    once = {name: _middle(found, name, attrgetter(name)) for name in ONCE}
    return replace(
        last,
        **once,
        pools={pool: _pool(pool, found) for pool in last.pools},
        host_cost=_cost(one.host_cost for one in found),
        source=", ".join(one.source for one in found),
        assumed=tuple(name for name in last.assumed if all(name in one.assumed for one in found)),
    )


def _pool(pool: str, found: Sequence[Figures]) -> PoolFigures:
    numbers = [item.name for item in fields(PoolFigures) if item.name not in (MESSAGE_COST, MESSAGE_CPU)]
    values: dict[str, Any] = {name: _middle(found, f"{pool}.{name}", _of_pool(pool, name)) for name in numbers}
    values |= {name: round(values[name]) for name in WHOLE}
    priced = [one.of(pool) for one in found if one.of(pool).message_cost is not None]
    return PoolFigures(
        **values,
        message_cpu_seconds=median(one.message_cpu_seconds for one in priced) if priced else 0.0,
        message_cost=_cost(one.message_cost for one in priced),
    )


def _of_pool(pool: str, name: str) -> Callable[[Figures], float]:
    return lambda one: float(getattr(one.of(pool), name))


def _middle(found: Sequence[Figures], name: str, value: Callable[[Figures], float | None]) -> Any:
    """Return a figure's median of the runs that show it; of what all assume where none does."""
    showing = [one for one in found if name not in one.assumed] or list(found)
    known = [each for each in map(value, showing) if each is not None]
    return median(known) if known else None


def _cost(costs: Iterable[CostAtRates | None]) -> CostAtRates | None:
    known = [cost for cost in costs if cost is not None]
    if not known:
        return None
    return CostAtRates(*(median(getattr(cost, item.name) for cost in known) for item in fields(CostAtRates)))
