"""`harness tune`: the cheapest values that meet the objectives."""

from __future__ import annotations

import json
import shlex
import sys
import webbrowser
from pathlib import Path
from typing import Any

import click

from harness.cli.endings import EXIT_MISSED
from harness.cli.options import chosen, values_options
from harness.errors import InputError
from harness.planning import calibrations, cost_files, place, planner, tune_words, tuning
from harness.planning.tuning import Request

DEFAULT_SCENARIO = "spike-10x"
DEFAULT_ENVIRONMENT = "prod,keda"


def _percent(_: click.Context, __: click.Parameter, value: str) -> float:
    """Read 20% or 20 % or 0.2."""
    text = value.strip()
    try:
        number = float(text.removesuffix("%")) / (100.0 if text.endswith("%") else 1.0)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no share; write it as 20%") from None
    if not 0.0 <= number <= 10.0:
        raise click.BadParameter(f"{value!r} is out of range; write it as 20%")
    return number


@click.command()
@click.argument("names", nargs=-1, metavar="[SCENARIO]...")
@values_options
@click.option(
    "--headroom",
    default="20%",
    show_default=True,
    callback=_percent,
    help="The objectives must hold at so much more load.",
)
@click.option("--max-replicas", type=click.IntRange(1), default=12, show_default=True, help="Of any class.")
@click.option(
    "--max-minimum",
    type=click.IntRange(1),
    help="Warm pods of any class. By default two more than given; as given where a scenario's load is in multiples "
    "of what the minimum holds (no normal_slots).",
)
@click.option("--room", metavar="CORES,GIB", help="What all pods may request together at their maxima.")
@click.option(
    "--spikes-per-month",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    help="How often each scenario comes; what it adds to the minimum is paid so often.",
)
@click.option("--prices", type=click.Path(path_type=Path, dir_okay=False), help="A price file; example prices without.")
@click.option(
    "--runtime", type=click.Choice(place.NAMES), default="local", show_default=True, help="Where it will run."
)
@click.option("--calibration", type=click.Path(path_type=Path, dir_okay=False), help="Figures of workers.")
@click.option(
    "--seeds", type=click.IntRange(1), default=3, show_default=True, help="Simulated runs that must all meet."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("values/tuned.yaml"),
    show_default=True,
    help="Where the overlay is written.",
)
@click.option("--reports", type=click.Path(path_type=Path), default=Path("reports"), show_default=True)
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
def command(
    names: tuple[str, ...],
    headroom: float,
    max_replicas: int,
    max_minimum: int | None,
    room: str | None,
    spikes_per_month: float,
    prices: Path | None,
    runtime: str,
    calibration: Path | None,
    seeds: int,
    out: Path,
    reports: Path,
    open_page: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Find the cheapest bounds, targets, upward policies and queue limits that meet the objectives of SCENARIOs.

    Thousands of settings are tried on a coarse model, the best are simulated task by task, and the cheapest that meets
    everything is written as an overlay on --env (prod,keda without it), the reason beside each figure. Exit code 1 when
    nothing within the bounds meets the objectives.
    """
    from harness.planning.engine import simulate  # compiles, or loads what was compiled

    options["environments"] = options["environments"] or DEFAULT_ENVIRONMENT
    values = chosen(**options)
    request = Request(
        scenarios=names or (DEFAULT_SCENARIO,),
        headroom=headroom,
        most_replicas=max_replicas,
        most_minimum=max_minimum,
        room=None if room is None else _room(room),
        cycles=spikes_per_month,
        prices=cost_files.load_prices(prices),
        place=calibrations.place_of(runtime),
        figures=calibrations.load(calibration, runtime=runtime),
        seeds=seeds,
        command=shlex.join(["harness", *sys.argv[1:]]),
    )
    rendered = planner.rendered(values, environment=options["environments"])
    found = tuning.run(request, rendered, simulate)
    page = tuning.write_page(found, reports)
    written = tuning.write_overlay(found, values, out) if found.tuned.choice else None
    if as_json:
        click.echo(json.dumps(tune_words.document(found, overlay=written, page=page)))
    else:
        click.echo(tune_words.text(found, overlay=written, page=page))
    if open_page:
        webbrowser.open(page.resolve().as_uri())
    sys.exit(0 if found.tuned.choice else EXIT_MISSED)


def _room(text: str) -> tuple[float, float]:
    try:
        cores, memory = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--room {text}: write cores and GiB, as in 16,64") from None
    return cores, memory
