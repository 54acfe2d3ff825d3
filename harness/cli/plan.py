"""`harness plan`: what values will do in a spike, before the spike."""

from __future__ import annotations

import json
import shlex
import sys
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from harness.cli.endings import EXIT_MISSED
from harness.cli.options import chosen, values_options
from harness.errors import InputError
from harness.planning import arrival_files, calibrations, counts, place, planner, words
from harness.planning.figures import Figures
from harness.planning.planner import Asked, Offer, Plan
from harness.spike.report import FILE_NAME as PAGE_NAME
from harness.spike.scenario import load_scenario

DEFAULT_SCENARIO = "email-campaign"
DEFAULT_ENVIRONMENT = "prod,keda"
KIND_OVERLAY = "kind"
"""What a run on kind lays over the values, as `harness spike` does."""


@click.command()
@click.argument("name", required=False, metavar="[SCENARIO]")
@click.option("--scenario", "scenario_file", metavar="FILE", help="The scenario, as the argument: a name or a file.")
@click.option(
    "--arrivals",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What came on a real day in place of the scenario's phases: a CSV of counts a minute, a column a "
    "task, or Prometheus' answer to a range query (.json).",
)
@click.option("--task", metavar="NAME", help="With --arrivals and no scenario: the task that was counted.")
@click.option("--service-seconds", type=click.FloatRange(0, min_open=True), help="How long one --task takes.")
@click.option(
    "--cpu-seconds",
    type=click.FloatRange(0, min_open=True),
    default=0.002,
    show_default=True,
    help="What one --task costs in CPU time.",
)
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
    arrivals: Path | None,
    task: str | None,
    service_seconds: float | None,
    cpu_seconds: float,
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
    offer = _offer(name or scenario_file, arrivals, task, service_seconds, cpu_seconds)
    asked = Asked(explain=not no_explain, seeds=seeds)
    figures = calibrations.load(calibration, runtime=runtime)
    environments = compare or (options.pop("environments") or DEFAULT_ENVIRONMENT,)
    plans = [
        _plan(
            partial(offer, seed=seed), {**options, "environments": one}, runtime=runtime, figures=figures, asked=asked
        )
        for one in environments
    ]
    directory = planner.write(plans, reports, words.tables(plans))
    _show(plans, directory / PAGE_NAME, as_json=as_json)
    if open_page:
        webbrowser.open((directory / PAGE_NAME).as_uri())
    sys.exit(0 if all(plan.result.passed for plan in plans) else EXIT_MISSED)


def _offer(
    name: str | None, arrivals: Path | None, task: str | None, service_seconds: float | None, cpu_seconds: float
) -> Callable[..., Offer]:
    """Return what makes the offer, given a topology, a run id and a seed. Raises InputError for options that clash."""
    if task is None and service_seconds is not None:
        raise InputError("--service-seconds is for --task; name the task that was counted")
    if task is not None and (arrivals is None or name is not None or service_seconds is None):
        raise InputError("--task needs --arrivals and --service-seconds, and no scenario, which has tasks of its own")
    if arrivals is None:
        return partial(planner.of_scenario, load_scenario(name or DEFAULT_SCENARIO))
    counted = arrival_files.read(arrivals)
    if task is not None:
        mix = counts.mix_of_one(task, service_seconds=service_seconds or 0.0, cpu_seconds=cpu_seconds)
    elif name is not None:
        mix = counts.mix_of(load_scenario(name))
    else:
        raise InputError(
            "--arrivals says when, not what: add a scenario with the tasks, or --task and --service-seconds"
        )
    return partial(counts.offer_of, counted, mix, source=arrivals.name)


def _plan(
    offer_of: Callable[..., Offer], options: dict[str, Any], *, runtime: str, figures: Figures, asked: Asked
) -> Plan:
    from harness.planning.engine import simulate  # compiles, or loads what was compiled

    names = options["environments"].split(",")
    if runtime == "kind" and KIND_OVERLAY not in names:
        options = {**options, "environments": ",".join([*names, KIND_OVERLAY])}
    values = planner.rendered(chosen(**options), environment=_called(options))
    offer = offer_of(topology=values.topology, run_id=planner.new_id())
    return planner.make(
        offer,
        values,
        simulate,
        place=calibrations.place_of(runtime),
        figures=figures,
        asked=replace(asked, command=_command(options)),
    )


def _called(options: dict[str, Any]) -> str:
    return " + ".join([*options["environments"].split(","), *(Path(one).stem for one in options["files"])])


def _command(options: dict[str, Any]) -> str:
    """Return the command as it was given, with the environments that it used."""
    given = [word for word in sys.argv[1:] if word not in ("--open", "--json")]
    named = any(word.startswith(("--env", "--compare")) for word in given)
    return shlex.join(["harness", *given, *([] if named else ["--env", options["environments"]])])


def _show(plans: Sequence[Plan], page: Path, *, as_json: bool) -> None:
    if as_json:
        documents = [plan.as_dict() for plan in plans]
        click.echo(json.dumps(documents[0] if len(documents) == 1 else {"plans": documents}, allow_nan=False))
    else:
        click.echo(words.text(plans[0], page=str(page)) if len(plans) == 1 else words.compared(plans, page=str(page)))
