"""`harness monitor`: a Prometheus beside a local run, with the rules of its release."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import FrameType

import click

from harness import scratch
from harness.cli.endings import on_endings
from harness.errors import InputError
from harness.monitoring import beside, prometheus, rules
from harness.monitoring.configuration import Target
from harness.monitoring.prometheus import Prometheus
from harness.ops import runs
from harness.ops.runs import Run

LOOK_SECONDS = 1.0


@click.command()
@click.option("--run", "run_name", metavar="NAME", help="Which local run, where there are several.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of its page. Default: a free one.")
@click.option(
    "--interval",
    "seconds",
    type=click.FloatRange(0.2),
    default=prometheus.INTERVAL_SECONDS,
    show_default=True,
    help="Seconds between two scrapes.",
)
@click.option(
    "--rules",
    "rule_files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Rules in place of the release's own. Can be repeated.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    help="Where its data go, and stay. Default: a temporary directory, removed at the end.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document when it is ready.")
def command(
    run_name: str | None,
    port: int | None,
    seconds: float,
    rule_files: tuple[Path, ...],
    directory: Path | None,
    as_json: bool,
) -> None:
    """Run a Prometheus beside a local run until Ctrl-C, or until the run ends.

    It scrapes what the run offers and evaluates the alerts of its release; `harness watch` then shows them.
    """  # fmt: skip
    run = runs.find(run_name)
    if not run.targets:
        raise InputError(f"local run {run.name} offers nothing to scrape: it is of an older version; start it again")
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    with nullcontext(directory.resolve()) if directory else scratch.directory("monitor") as place:
        files = rule_files or [beside.write_rules(run, place / rules.FILE_NAME)]
        targets = [Target(**told) for told in run.targets]
        with (
            prometheus.run(place, targets, rule_files=files, interval_seconds=seconds, port=port) as server,
            beside.announced(run.name, server.url),
        ):
            on_endings(end)
            click.echo(json.dumps(_described(run, server)) if as_json else _told(run, server, targets))
            while run.alive and not ended.wait(LOOK_SECONDS):
                pass


def _described(run: Run, server: Prometheus) -> dict[str, str | int]:
    return {"run": run.name, "url": server.url, "pid": server.pid}


def _told(run: Run, server: Prometheus, targets: Sequence[Target]) -> str:
    loaded = [rule for group in server.client.rule_groups() for rule in group["rules"]]
    alerts = sum(rule["type"] == "alerting" for rule in loaded)
    without = (
        ""
        if any(target.job == "celery-exporter" for target in targets)
        else "\nThe run has no exporter, so tasks are not seen: start it with --env ...,monitoring.\n"
    )
    return f"""
Prometheus watches {run.name} until Ctrl-C: {alerts} alerts, {len(loaded) - alerts} recorded series.
{without}
  graphs      {server.url}/graph
  alerts      {server.url}/alerts
  targets     {server.url}/targets

Next steps, in another terminal:
  harness watch
  harness dashboards check --prometheus {server.url} --since 5m
"""
