"""The coarse model, ready to be run: compiled, or as it stands, which is the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from harness import compiling
from harness.simulation import fluid, fluid_state, fluid_waits
from harness.simulation.fluid_outcome import Outcome, WaitShares
from harness.simulation.fluid_plant import Layout, tables
from harness.simulation.fluid_state import State
from harness.simulation.fluid_tables import Curves, Tables
from harness.simulation.model import Plant

MODULES = (
    "harness.autoscaling.kernel",
    "harness.simulation.fluid_scaling",
    "harness.simulation.fluid",
    "harness.simulation.fluid_waits",
)
ENTRIES = ("run", "wait_shares")


@dataclass(frozen=True)
class Model:
    """One form of the same source."""

    run: Callable[[Tables, State, Curves], int]
    wait_shares: WaitShares

    def foretell(
        self, plant: Plant, layout: Layout, *, load_factor: float = 1.0, stop_when_quiet: bool = False
    ) -> Outcome:
        """Run a laid-out load on a plant. Raises ValueError for an autoscaler the model does not know."""
        given = tables(plant, layout, load_factor=load_factor, stop_when_quiet=stop_when_quiet)
        curves = fluid_state.room(given)
        end = self.run(given, fluid_state.start(given), curves)
        return Outcome(plant, given, layout, curves, end, self.wait_shares)


REFERENCE = Model(fluid.run, fluid_waits.wait_shares)


@cache
def compiled() -> Model:
    """Return the compiled form; the first run of a version on a machine compiles it, which takes a while."""
    twins = compiling.compiled(tuple(MODULES), entries=tuple(ENTRIES), inline=True)
    return Model(twins[fluid.__name__].run, twins[fluid_waits.__name__].wait_shares)
