"""`harness watch`: a release as it is, again and again."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from harness.cli.ops_options import target_options
from harness.cli.ops_screen import COLOURS, screen
from harness.monitoring import beside
from harness.monitoring.live import Look
from harness.monitoring.prometheus import Client
from harness.monitoring.watching import Watcher
from harness.ops import runs, target
from harness.ops.amounts import shown_duration
from harness.ops.target import Where
from harness.tables import table_of

PROMETHEUS_VARIABLE = "PROMETHEUS_URL"


@click.command()
@click.option(
    "--every", "seconds", type=click.FloatRange(0.2), default=2.0, show_default=True, help="Seconds between looks."
)
@click.option("--looks", type=click.IntRange(1), help="End after so many; without it at Ctrl-C.")
@click.option(
    "--prometheus",
    "url",
    help=f"Whose alerts and latencies are shown. Default: ${PROMETHEUS_VARIABLE}, or what `make monitor` started.",
)
@target_options
def command(where: Where, seconds: float, looks: int | None, url: str | None, as_json: bool) -> None:
    """Show queues against limits, workers, throughput, latency and alerts, live; with --json a line each look.

    Without a Prometheus the alerts are this view's own, by the thresholds of `harness ops status`, and no latency is
    known.
    """
    console = Console()
    with target.opened(where) as found, _prometheus(url, where) as client:
        watcher = Watcher(found, client)
        if as_json:
            for look in _looks(watcher, seconds, looks):
                click.echo(json.dumps(look.as_dict()))
        elif console.is_terminal:
            with Live(console=console, screen=True, auto_refresh=False) as view:
                for look in _looks(watcher, seconds, looks):
                    view.update(shown(look), refresh=True)
        else:
            for look in _looks(watcher, seconds, looks):
                console.print(shown(look))


def shown(look: Look) -> RenderableType:
    """Return a look, to be printed: the alerts on top."""
    return screen(look.status, within=look.within_seconds, above=[_alerts(look)])


def _alerts(look: Look) -> RenderableType:
    source = Text(f"alerts of {look.alerts_from}", style="dim")
    if not look.alerts:
        return Text("no alert  ", style="green").append_text(source)
    table = table_of("alert", "about", "for>", "")
    for one in look.alerts:
        since = "" if one.since is None else shown_duration(look.status.at - one.since)
        style = COLOURS.get(one.severity, COLOURS["warning"])
        table.add_row(Text(one.name, style=style), one.about, since, one.summary)
    return Group(source, table)


def _looks(watcher: Watcher, seconds: float, looks: int | None) -> Iterator[Look]:
    done = 0
    while True:
        yield watcher.look()
        done += 1
        if done == looks:
            return
        time.sleep(seconds)


@contextlib.contextmanager
def _prometheus(url: str | None, where: Where) -> Iterator[Client | None]:
    found = url or os.environ.get(PROMETHEUS_VARIABLE) or _beside_the_run(where)
    if found is None:
        yield None
        return
    with Client(found) as client:
        yield client


def _beside_the_run(where: Where) -> str | None:
    local = where.runtime == "local" or (where.runtime is None and (where.run or runs.running()))
    return beside.find(runs.find(where.run).name) if local else None
