"""Comparisons of simulated runs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from harness.compare.budget import Budget
from harness.compare.measures import measured
from harness.compare.summary import AFTER, BEFORE, Bought, Compared, Comparison, Run
from harness.planning.costing import cycle_of_run
from harness.simulation.cost import Prices
from harness.spike.result import Result
from tests.unit.spike_report import scenes
from tests.unit.spike_report.synthetic import simulate, steady

PRICES = Prices(name="test", source="a test", currency="EUR", cpu_core_hour=0.04, memory_gib_hour=0.005)
BUDGET = Budget(cores=4, memory_gib=64)
GROUPS = {scenes.IO.task: "io", scenes.CPU.task: "cpu"}


@cache
def surge(*, io_pods: int = 5) -> Result:
    """A quarter of a minute of normal load and half a minute of five times that, on io and cpu."""

    def phases(rate: float) -> tuple[tuple[float, str], ...]:
        normal = steady(rate, start=0, seconds=15, phase="normal")
        return normal + steady(5 * rate, start=15, seconds=30, phase="surge")

    classes = [
        replace(scenes.IO, concurrency=20, maximum=io_pods, arrivals=phases(4)),
        replace(scenes.CPU, arrivals=phases(1)),
    ]
    run = simulate(classes)
    facts = scenes.facts("surge", classes, run, title="Five times the load")
    return scenes.build(facts, run, [scenes.LOST], groups=GROUPS)


def run_of(result: Result, path: str) -> Run:
    return Run(path=path, result=result, figures=measured(result, cycle_of_run(result, {}), PRICES))


def bought(environment: str) -> Bought:
    return Bought(environment=environment, pods={"io": 5, "cpu": 3}, requested=BUDGET, slots=112)


def comparison(before: list[Result], after: list[Result], *, runtime: str = "local") -> Comparison:
    return Comparison(
        name="compare-1",
        command="harness compare surge",
        runtime=runtime,
        budget=BUDGET,
        prices=PRICES,
        bought={BEFORE: bought("baseline"), AFTER: bought("prod,keda")},
        compared=(
            Compared(
                scenario="surge",
                before=tuple(run_of(one, f"before/{number}") for number, one in enumerate(before)),
                after=tuple(run_of(one, f"after/{number}") for number, one in enumerate(after)),
            ),
        ),
    )
