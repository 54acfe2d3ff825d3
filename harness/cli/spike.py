"""`harness spike`: run a scenario for real."""

from __future__ import annotations

import json
import sys
import webbrowser
from pathlib import Path

import click

from harness.cli.endings import EXIT_MISSED
from harness.cli.progress import TerminalProgress
from harness.errors import InputError
from harness.spike import result, run, scenario, sites
from harness.spike.prepared import Request
from harness.spike.progress import Progress, SilentProgress
from harness.spike.report import FILE_NAME as PAGE_NAME
from harness.spike.words import verdict_text

MONITORING = "monitoring"


@click.command()
@click.argument("name", default="email-campaign", metavar="[SCENARIO]")
@click.option("--env", "environment", default="prod,keda", show_default=True, help="Files of values/, in this order.")
@click.option(
    "-f",
    "--values",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Your own values file, laid over --env. Can be repeated.",
)
@click.option("--runtime", type=click.Choice(sites.NAMES), default="local", show_default=True, help="Where it runs.")
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="The folder runs are kept in.",
)
@click.option("--broker-port", type=click.IntRange(1, 65535), help="AMQP port of the RabbitMQ that is started.")
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Figures of workers for the forecast; those of `harness calibrate` by default.",
)
@click.option("--monitor", is_flag=True, help="Run a Prometheus beside it; the report shows the alerts that fired.")
@click.option("--prometheus", help="The address of one that watches the place anyway, in place of --monitor.")
@click.option("--no-forecast", is_flag=True, help="Run without foretelling the run first.")
@click.option("--list", "list_only", is_flag=True, help="List the scenarios and stop.")
@click.option("--open", "open_page", is_flag=True, help="Open the report in a browser.")
@click.option("--json", "as_json", is_flag=True, help="Print result.json, no progress; with --list the scenarios.")
def command(
    name: str,
    environment: str,
    values: tuple[Path, ...],
    runtime: str,
    reports: Path,
    broker_port: int | None,
    calibration: Path | None,
    monitor: bool,
    prometheus: str | None,
    no_forecast: bool,
    list_only: bool,
    open_page: bool,
    as_json: bool,
) -> None:
    """Run SCENARIO (a name or a file): real broker, real workers, real load, a ledger and a report.

    Before anything is started the run is foretold as `harness plan` does; the report shows both on the same axes.
    $BROKER_URL (with $BROKER_MANAGEMENT_URL) makes it use your RabbitMQ, in a virtual host that lasts as long as the
    run. Exit code 1 when an objective is missed.
    """
    if list_only:
        _list(as_json=as_json)
        return
    if monitor and prometheus:
        raise InputError("--monitor starts a Prometheus and --prometheus names a running one: leave one out")
    request = Request(
        scenario=name,
        environment=with_exporter(environment) if monitor else environment,
        reports=reports,
        runtime=runtime,
        values=values,
        monitor=monitor,
        prometheus=prometheus,
    )
    site = sites.find(runtime, broker_port=broker_port)
    foretell = None if no_forecast else foretelling(runtime, calibration)
    progress: Progress = SilentProgress() if as_json else TerminalProgress()
    try:
        directory = run.run(request, site=site, progress=progress, foretell=foretell)
    finally:
        progress.close()
    outcome = result.read(directory)
    page = directory / PAGE_NAME
    click.echo((directory / result.FILE_NAME).read_text() if as_json else verdict_text(outcome, report=str(page)))
    if open_page:
        webbrowser.open(page.resolve().as_uri())
    sys.exit(0 if outcome.passed else EXIT_MISSED)


def with_exporter(environment: str) -> str:
    """Return the environments with the one that has tasks counted, without which most alerts sleep."""
    return environment if MONITORING in environment.split(",") else f"{environment},{MONITORING}"


def foretelling(runtime: str, calibration: Path | None) -> run.Foretell:
    """Return what foretells runs there; it loads the compiled simulator, which a listing does not need."""
    from harness.planning import forecasting
    from harness.planning.engine import simulate

    return forecasting.foretelling(simulate, runtime=runtime, calibration=calibration)


def _list(*, as_json: bool) -> None:
    titles = {name: scenario.load_scenario(name).title for name in scenario.available()}
    if as_json:
        click.echo(json.dumps(titles, indent=2))
        return
    for name, title in titles.items():
        click.echo(f"{name:16} {title}")
