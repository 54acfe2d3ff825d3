"""How many series a release costs Prometheus: `python -m benchmarks.series`.

Runs a release on this machine (prod, keda, monitoring), has it do each task of a few kinds, reads what Prometheus
would read of it, and reckons what that is with 100 pods and 25 task names. No limit: it is a figure to know.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run
from harness import direct
from harness.chart import render
from harness.monitoring.configuration import Target
from harness.monitoring.series_cost import SeriesCost, cost_of
from harness.spike.local_release import LocalRelease, local_release
from harness.spike.progress import SilentProgress

TASKS = ("check_db_connections", "assign_topics_to_questions")  # they need the database alone
SETTLE_SECONDS = 40.0  # until each pod has been measured, and RabbitMQ has figures of each queue
PUBLISH = """
import sys
from celery import Celery
app = Celery("publisher")
app.config_from_object("celeryconfig")
for name in sys.argv[1:]:
    app.send_task(name)
"""


def read(target: Target) -> str:
    """Return what Prometheus reads of a target."""
    return direct.get(target.url, timeout_seconds=20).raise_for_status().text


def expositions(release: LocalRelease) -> dict[str, str]:
    """Let the release work for a moment; return what each of its targets then exposes, by job."""
    environment = {
        **os.environ,
        "CELERY_BROKER_URL": release.ground.broker.amqp_url,
        "PYTHONPATH": str(release.configuration),
    }
    subprocess.run([sys.executable, "-c", PUBLISH, *TASKS], env=environment, check=True, timeout=60)
    until = time.monotonic() + SETTLE_SECONDS
    release.run(lambda: time.monotonic() > until)
    return {target.job: read(target) for target in release.ground.targets}


def show(costs: Mapping[str, SeriesCost], *, pods: int, tasks: int, console: Console) -> None:
    """Print the costs for a person."""
    table = Table(title=f"series with {pods} pods and {tasks} task names")
    for heading in ("target", "fixed", "a pod", "a task name", "together"):
        table.add_column(heading, justify="left" if heading == "target" else "right")
    total = SeriesCost(0, 0, 0)
    for job, cost in [*costs.items(), ("all", sum(costs.values(), total))]:
        figures = (cost.fixed, cost.per_pod, cost.per_task, cost.at(pods=pods, tasks=tasks))
        table.add_row(job, *(f"{figure:,}" for figure in figures))
    console.print(table)


def document(costs: Mapping[str, SeriesCost], *, pods: int, tasks: int) -> dict[str, Mapping[str, int]]:
    """Return the costs as JSON has them."""
    return {
        job: {
            "fixed": cost.fixed,
            "per_pod": cost.per_pod,
            "per_task": cost.per_task,
            "series": cost.at(pods=pods, tasks=tasks),
        }
        for job, cost in costs.items()
    }


def measure(values: Sequence[Path]) -> dict[str, SeriesCost]:
    """Run a release of these values; return what each target costs."""
    name = f"series-{secrets.token_hex(2)}"
    with (
        tempfile.TemporaryDirectory(prefix="series-") as place,
        local_release(name, values=values, directory=Path(place), progress=SilentProgress()) as release,
    ):
        return {job: cost_of(text) for job, text in expositions(release).items()}


@click.command()
@click.option("--pods", default=100, show_default=True, type=click.IntRange(min=0))
@click.option("--tasks", default=25, show_default=True, type=click.IntRange(min=0))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(pods: int, tasks: int, as_json: bool) -> None:
    """Count the series a release costs."""
    costs = measure(render.environment_files("prod,keda,monitoring"))
    if as_json:
        click.echo(json.dumps(document(costs, pods=pods, tasks=tasks), indent=2))
    else:
        show(costs, pods=pods, tasks=tasks, console=Console())


if __name__ == "__main__":
    run(main)
