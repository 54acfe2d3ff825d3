"""`harness calibrate`: measure what a plan must know of workers."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from harness.chart import render
from harness.cli.progress import TerminalProgress
from harness.cluster import madevalues
from harness.planning import calibrate, calibration_words, calibrations
from harness.planning.calibrations_together import several, together
from harness.spike import run, sites
from harness.spike.prepared import Request
from harness.spike.progress import Progress, SilentProgress

MOST_RUNS = 20


@click.command()
@click.option("--runtime", type=click.Choice(sites.NAMES), default="local", show_default=True, help="Where to measure.")
@click.option("--env", "environment", default="prod,keda", show_default=True, help="Files of values/, in this order.")
@click.option(
    "--runs",
    type=click.IntRange(1, MOST_RUNS),
    default=1,
    show_default=True,
    help="How often to measure: of each figure the median counts. A run that others disturbed is left out.",
)
@click.option(
    "--from",
    "directories",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder of a run of the scenario `calibration`, instead of a new one; may be given several times.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="The file to write, in place of the usual one."
)
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="The folder runs are kept in.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON, no progress.")
def command(
    runtime: str,
    environment: str,
    runs: int,
    directories: tuple[Path, ...],
    out: Path | None,
    reports: Path,
    as_json: bool,
) -> None:
    """Run a short scenario of all classes and measure boot, readiness, overhead and CPU of workers.

    The figures are kept beside the other caches and used by `harness plan` and the forecasts of `harness spike`. They
    hold for this machine: measure again after a change of machine, image or application.
    """
    if directories and runs > 1:
        raise click.UsageError("--runs counts new runs; with --from there are none")
    if directories:
        figures = together([calibrate.measure(directory) for directory in directories])
    else:
        figures = several(
            (_run(runtime, environment, reports, silent=as_json) for _ in range(runs)),
            calibrate.measure,
            left_out=lambda error: click.echo(f"left out: {error}", err=True),
        )
    path = calibrations.save(figures, out or calibrations.default_path(figures.runtime))
    if as_json:
        click.echo(json.dumps(figures.as_dict()))
    else:
        Console().print(calibration_words.shown(figures, path))


def _run(runtime: str, environment: str, reports: Path, *, silent: bool) -> Path:
    progress: Progress = SilentProgress() if silent else TerminalProgress()
    usual = render.load_values(render.environment_files(environment))
    values = madevalues.named_by_content(calibrate.SCENARIO, calibrate.undisturbed(usual))
    request = Request(
        scenario=calibrate.SCENARIO, environment=environment, reports=reports, runtime=runtime, values=(values,)
    )
    try:
        return run.run(request, site=sites.find(runtime, broker_port=None), progress=progress)
    finally:
        progress.close()
