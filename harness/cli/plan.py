"""`harness plan`: what values will do in a spike, before the spike."""

from __future__ import annotations

import json
import shlex
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from harness.cli.options import chosen, values_options
from harness.cli.spike import EXIT_MISSED
from harness.errors import InputError
from harness.planning import calibrations, place, planner, words
from harness.planning.figures import Figures
from harness.planning.planner import Asked, Plan
from harness.spike.report import FILE_NAME as PAGE_NAME
from harness.spike.scenario import Scenario, load_scenario

DEFAULT_SCENARIO = "email-campaign"
DEFAULT_ENVIRONMENT = "prod,keda"
KIND_OVERLAY = "kind"
"""What a run on kind lays over the values, as `harness spike` does."""


@click.command()
@click.argument("name", required=False, metavar="[SCENARIO]")
@click.option("--scenario", "scenario_file", metavar="FILE", help="The scenario, as the argument: a name or a file.")
@values_options
@click.option(
    "--runtime",
    type=click.Choice(place.NAMES),
    default="local",
    show_default=True,
    help="Where it would run: as processes or kind's nodes of this machine, or on a cluster with room.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Figures of workers; those of `harness calibrate` by default.",
)
@click.option("--seed", type=click.IntRange(0), help="Of the chances; the scenario's by default.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Repeat with so many seeds.")
@click.option("--compare", nargs=2, metavar="A B", help="Two environments side by side, in place of --env.")
@click.option("--no-explain", is_flag=True, help="The figures only: not what binds, nor what would help.")
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="The folder plans and runs are kept in.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
def command(
    name: str | None,
    scenario_file: str | None,
    runtime: str,
    calibration: Path | None,
    seed: int | None,
    seeds: int,
    compare: tuple[str, str] | None,
    no_explain: bool,
    reports: Path,
    open_page: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Foretell SCENARIO on a set of values: verdict, backlog, pods, what binds, and the smallest change that helps.

    Nothing is started: the run is simulated, with the controller's own arithmetic. Without --env it is prod,keda. Exit
    code 1 when an objective would be missed.
    """
    if name and scenario_file:
        raise InputError("the scenario is given twice: as an argument and with --scenario; leave one out")
    if compare and options["environments"]:
        raise InputError("--compare names the environments itself; leave --env out")
    scenario = load_scenario(scenario_file or name or DEFAULT_SCENARIO)
    asked = Asked(explain=not no_explain, seeds=seeds)
    figures = calibrations.load(calibration, runtime=runtime)
    environments = compare or (options.pop("environments") or DEFAULT_ENVIRONMENT,)
    plans = [
        _plan(scenario, {**options, "environments": one}, runtime=runtime, figures=figures, seed=seed, asked=asked)
        for one in environments
    ]
    directory = planner.write(plans, reports, words.tables(plans))
    _show(plans, directory / PAGE_NAME, as_json=as_json)
    if open_page:
        webbrowser.open((directory / PAGE_NAME).as_uri())
    sys.exit(0 if all(plan.result.passed for plan in plans) else EXIT_MISSED)


def _plan(
    scenario: Scenario, options: dict[str, Any], *, runtime: str, figures: Figures, seed: int | None, asked: Asked
) -> Plan:
    from harness.planning.engine import simulate  # compiles, or loads what was compiled

    asked = replace(asked, command=_command(scenario, options, runtime))
    names = options["environments"].split(",")
    if runtime == "kind" and KIND_OVERLAY not in names:
        options = {**options, "environments": ",".join([*names, KIND_OVERLAY])}
    values = planner.rendered(chosen(**options), environment=_called(options))
    offer = planner.of_scenario(scenario, values.topology, run_id=planner.new_id(scenario.name), seed=seed)
    return planner.make(offer, values, simulate, place=calibrations.place_of(runtime), figures=figures, asked=asked)


def _called(options: dict[str, Any]) -> str:
    return " + ".join([*options["environments"].split(","), *(Path(one).stem for one in options["files"])])


def _command(scenario: Scenario, options: dict[str, Any], runtime: str) -> str:
    words_ = ["harness", "plan", scenario.name, "--env", options["environments"], "--runtime", runtime]
    words_ += [word for path in options["files"] for word in ("-f", str(path))]
    words_ += [word for one in options["assignments"] for word in ("--set", one)]
    return shlex.join(words_)


def _show(plans: Sequence[Plan], page: Path, *, as_json: bool) -> None:
    if as_json:
        documents = [plan.as_dict() for plan in plans]
        click.echo(json.dumps(documents[0] if len(documents) == 1 else {"plans": documents}, allow_nan=False))
    else:
        click.echo(words.text(plans[0], page=str(page)) if len(plans) == 1 else words.compared(plans, page=str(page)))
