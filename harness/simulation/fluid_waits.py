"""How long the coarse model's tasks waited, from its cumulated curves. Plain Python, compilable."""

from __future__ import annotations

from harness.simulation.fluid_tables import Curves, Records

NEGLIGIBLE_TASKS = 1e-9


def wait_shares(curves: Curves, lane: int, first: int, last: int, end: int, found: Records) -> None:
    """Count the offered tasks of steps `first` to `last` by how long they waited, in steps.

    First come, first served within a lane: what leaves at some height of the cumulated curve is what came at it.
    A task that waits between two bins counts in both, by its distance; what was never begun counts in none. `end` is
    how many steps were run.
    """
    leaving = 0
    for step in range(first, last):
        low, high = curves.lanes[step, lane]["offered"], curves.lanes[step + 1, lane]["offered"]
        height = low
        while height < high - NEGLIGIBLE_TASKS and leaving < end:
            before, after = _left(curves, leaving, lane), _left(curves, leaving + 1, lane)
            if after <= height + NEGLIGIBLE_TASKS:
                leaving += 1
                continue
            top = min(high, after)
            middle = (height + top) / 2.0
            came = step + (middle - low) / (high - low)
            went = leaving + (middle - before) / (after - before)
            begun = curves.lanes[leaving + 1, lane]["started"] - curves.lanes[leaving, lane]["started"]
            _count(found, max(went - came, 0.0), (top - height) * begun / (after - before))
            height = top


def _left(curves: Curves, row: int, lane: int) -> float:
    flow = curves.lanes[row, lane]
    left: float = flow["started"] + flow["expired"] + flow["given_up"]
    return left


def _count(found: Records, steps: float, amount: float) -> None:
    low = int(steps)
    if low >= len(found) - 1:
        return
    part = steps - low
    found[low] += amount * (1.0 - part)
    found[low + 1] += amount * part
