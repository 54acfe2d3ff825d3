"""One run in virtual time."""

from __future__ import annotations

import math

import numpy as np

from harness.simulation.build import build
from harness.simulation.checks import check
from harness.simulation.control import ControlPlane
from harness.simulation.engine import Engine, kernel
from harness.simulation.kernel.state import POD_GONE, SETTLED
from harness.simulation.model import Load, Plant, Trace
from harness.simulation.plain import is_plain, simulate_plain
from harness.simulation.trace import trace


def simulate(
    plant: Plant,
    load: Load,
    *,
    rng: np.random.Generator,
    limit_seconds: float,
    to_the_limit: bool = False,
    compiled: bool = True,
    events: bool = False,
) -> Trace:
    """Foretell a run: until every task has come to its end, or the limit; the same seed gives the same trace.

    `to_the_limit` goes on when nothing is left to do, to see replicas go and what they cost. `compiled` False runs the
    kernel's source as it stands: the reference, some hundred times slower. A plant whose tasks can only wait takes a
    shorter way to the same trace, unless `events` forbids it. Raises ValueError for what cannot be simulated.
    """
    check(plant, load, limit_seconds)
    if not events and is_plain(plant, load):
        plain = kernel(compiled=compiled)["plain"]
        return simulate_plain(plant, load, plain, rng, limit_seconds=limit_seconds, to_the_limit=to_the_limit)
    engine = Engine(build(plant, load, rng), rng=rng, compiled=compiled)
    engine.flow.run[0]["closing"] = int(to_the_limit)
    control = ControlPlane(plant, engine, rng)
    end = _run(engine, control, limit_seconds)
    if end < limit_seconds:
        _finish_second(engine, control, end)
    return trace(plant, engine.flow, control.steps, end_seconds=end)


def _run(engine: Engine, control: ControlPlane, limit_seconds: float) -> float:
    """Let it run; return when it ended."""
    while True:
        until = min(control.next_at, limit_seconds)
        reason = engine.advance(until)
        if reason == SETTLED:
            return engine.now
        if reason == POD_GONE:
            control.pods_gone()
        elif until >= limit_seconds:
            return limit_seconds
        else:
            control.act(until)


def _finish_second(engine: Engine, control: ControlPlane, end: float) -> None:
    """Go on to the next whole second, whose sample shows the end."""
    engine.flow.run[0]["closing"] = 1
    until = math.ceil(end)
    while engine.advance(until) == POD_GONE:
        control.pods_gone()
