"""Making a comparison: the runs of both sides in turn, and their figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from harness.autoscaling import HpaSpec
from harness.chart import render
from harness.compare import page, summary
from harness.compare.measures import measured
from harness.compare.state import Begun
from harness.compare.summary import SIDES, Compared, Comparison, Run
from harness.files import write_atomically
from harness.planning.costing import cycle_of_run
from harness.planning.tail import autoscalers
from harness.simulation.cost import Prices
from harness.spike import report, result
from harness.spike import run as spike
from harness.spike.progress import Progress
from harness.spike.scenario import Scenario
from harness.spike.site import Site


@dataclass(frozen=True, kw_only=True)
class Priced:
    """What a run's figures need besides its result: prices, and how each side's replicas go after a run."""

    prices: Prices
    tails: Mapping[str, Mapping[str, HpaSpec]]


def perform(
    begun: Begun, *, site: Site, progress: Progress, prices: Prices, foretell: spike.Foretell | None
) -> Comparison:
    """Make the runs that are missing; result.json and the page are written after each, with what there is so far.

    Raises as `spike.run` does; the runs that were finished stay, and another call goes on after them.
    """
    priced = Priced(prices=prices, tails={name: _tails(begun, name, site) for name in SIDES})
    for number, scenario, name in begun.missing():
        progress.step(f"run {number} of {begun.total}: {scenario.name} {name}, {begun.sides[name].bought.environment}")
        spike.run(begun.request(scenario, name), site=site, progress=progress, foretell=foretell)
        _write(begun, gather(begun, priced))
    found = gather(begun, priced)
    _write(begun, found)
    return found


def gather(begun: Begun, priced: Priced) -> Comparison:
    """Read the runs of a comparison and measure them; a scenario without a run on both sides is left out."""
    compared = [
        Compared(
            scenario=scenario.name,
            before=_runs(begun, scenario, summary.BEFORE, priced),
            after=_runs(begun, scenario, summary.AFTER, priced),
        )
        for scenario in begun.scenarios
    ]
    return Comparison(
        name=begun.directory.name,
        command=begun.wanted.command,
        runtime=begun.wanted.runtime,
        budget=begun.budget,
        prices=priced.prices,
        bought={name: side.bought for name, side in begun.sides.items()},
        compared=tuple(one for one in compared if one.before and one.after),
    )


def _runs(begun: Begun, scenario: Scenario, name: str, priced: Priced) -> tuple[Run, ...]:
    def figures(one: report.Run) -> summary.Figures:
        return measured(one.result, cycle_of_run(one.result, priced.tails[name]), priced.prices)

    return tuple(
        Run(path=str(one.directory.relative_to(begun.directory)), result=one.result, figures=figures(one))
        for one in begun.runs(scenario, name)
    )


def _tails(begun: Begun, name: str, site: Site) -> Mapping[str, HpaSpec]:
    return autoscalers(render.render(site.values(begun.request(begun.scenarios[0], name))))


def _write(begun: Begun, comparison: Comparison) -> None:
    if comparison.compared:
        text = json.dumps(summary.document(comparison), indent=1, allow_nan=False)
        write_atomically(begun.directory / result.FILE_NAME, text + "\n")
        page.write(comparison, begun.directory)
