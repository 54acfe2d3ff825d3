"""`harness cost`: what values cost a month."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from harness.chart import render
from harness.cli.options import chosen, values_options
from harness.errors import InputError
from harness.planning import calibrations, cost_files, cost_words, costing, place, planner
from harness.planning.planner import Rendered
from harness.planning.tail import autoscalers
from harness.simulation import cost
from harness.simulation.cost import Cycle
from harness.spike import report, scalers
from harness.spike.result import Result
from harness.spike.scenario import load_scenario

DEFAULT_SCENARIO = "mixed-surge"
DEFAULT_ENVIRONMENT = "prod,keda"


@click.command()
@click.argument("name", required=False, metavar="[SCENARIO]")
@values_options
@click.option("--compare", nargs=2, metavar="A B", help="Two environments side by side, in place of --env.")
@click.option("--prices", type=click.Path(path_type=Path, dir_okay=False), help="A price file; example prices without.")
@click.option("--node", metavar="CORES,GIB,PRICE", help="Nodes are billed whole: what one has, and its price an hour.")
@click.option("--volume", type=click.IntRange(0), help="Tasks a month, beside powers of ten.")
@click.option("--run", "run", metavar="RUN", help="Price a measured run: its folder below reports/, or a path.")
@click.option("--reports", type=click.Path(path_type=Path), default=Path("reports"), show_default=True)
@click.option("--runtime", type=click.Choice(place.NAMES), default="cluster", show_default=True, help="Where it runs.")
@click.option("--calibration", type=click.Path(path_type=Path, dir_okay=False), help="Figures of workers.")
def command(
    name: str | None,
    compare: tuple[str, str] | None,
    prices: Path | None,
    node: str | None,
    volume: int | None,
    run: str | None,
    reports: Path,
    runtime: str,
    calibration: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Price a set of values (prod,keda without --env) under SCENARIO: by class, by task, by month against volume.

    The coarse model foretells the replicas; with --run they are a measured run's.
    """
    if run and (name or compare or options["environments"]):
        raise InputError("--run prices a run as it was; leave the scenario, --env and --compare out")
    priced_at = cost_files.load_prices(prices)
    billed = None if node is None else cost_files.node_of(node)
    if run:
        cycles = {run: _measured(reports, run)}
    else:
        names = compare or (options["environments"] or DEFAULT_ENVIRONMENT,)
        cycles = _foretold(name or DEFAULT_SCENARIO, names, options, runtime, calibration)
    offered = max(cycle.offered for cycle in cycles.values())
    largest = {key: cost.largest_volume(cycle) for key, cycle in cycles.items()}
    volumes = cost.volumes(given=volume, offered=offered, largest=largest)
    priced = [costing.price(key, cycle, priced_at, volumes, billed) for key, cycle in cycles.items()]
    if as_json:
        click.echo(json.dumps(cost_words.document(priced, priced_at, billed)))
    else:
        Console().print(cost_words.shown(priced, priced_at, billed))


def _foretold(
    scenario: str, names: Sequence[str], options: dict[str, Any], runtime: str, calibration: Path | None
) -> dict[str, Cycle]:
    from harness.simulation.fluid_model import compiled  # compiles, or loads what was compiled

    sets = [_rendered({**options, "environments": each}) for each in names]
    figures, where = calibrations.load(calibration, runtime=runtime), calibrations.place_of(runtime)
    topologies = [one.topology for one in sets]
    traffic = load_scenario(scenario)
    return {
        one.environment: costing.foretold(
            costing.offer_on(traffic, topologies, one.topology), one, compiled(), place=where, figures=figures
        )
        for one in sets
    }


def _rendered(options: dict[str, Any]) -> Rendered:
    return planner.rendered(chosen(**options), environment=options["environments"])


def _measured(reports: Path, name: str) -> Cycle:
    """Return a run's cycle; what follows its end is by the rules of its autoscalers."""
    found = report.find(reports, name)
    kept = scalers.read(found.directory)
    return costing.cycle_of_run(found.result, autoscalers(_rendered_anew(name, found.result) if kept is None else kept))


def _rendered_anew(name: str, result: Result) -> Sequence[Mapping[str, Any]]:
    """Render the values of a run that kept no autoscalers, where they are still there."""
    files = [planner.ROOT / file for file in result.setup.get("values_files", [])]
    missing = [file for file in files if not file.exists()]
    if missing:
        raise InputError(
            f"run {name}: it is of a version that kept no {scalers.FILE_NAME}, and {missing[0]} is gone, so nothing "
            "says how its replicas go after its end; run it again"
        )
    return render.render(files)
