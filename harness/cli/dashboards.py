"""`harness dashboards`: whether the dashboards show something."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from harness.chart.render import CHART
from harness.errors import InputError
from harness.monitoring import board_check, prometheus
from harness.monitoring.answers import Curve, Sample
from harness.monitoring.board_check import Asked, Shown
from harness.monitoring.prometheus import Client
from harness.ops.amounts import parse_duration
from harness.spike import alerts, report
from harness.tables import table_of

EXIT_EMPTY = 1
REPORTS = Path("reports")
SINCE_SECONDS = 1800.0
STEPS = 120  # in the window; a panel of usual width has some hundreds
RATE_SECONDS = 60.0  # four times the usual scrape interval of 15 s, as Grafana's $__rate_interval is
NAMED_BY = "celery_workers_exporter_up"


@click.group()
def command() -> None:
    """Try Grafana's dashboards on a Prometheus, without a Grafana."""


@command.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--prometheus", "url", help="Its address, as http://127.0.0.1:9090.")
@click.option(
    "--run", "run_name", help="In its place: what `harness spike --monitor` kept of this run (latest: the newest)."
)
@click.option("--since", help="How long before --at the window begins. Default: 30m; of a run its load.")
@click.option(
    "--at", type=float, help="The end of the window, seconds since the epoch. Default: now; of a run its end."
)
@click.option("--namespace", help="Default: the only one in which there is an exporter.")
@click.option("--release", help="Default: the only one there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(
    files: tuple[Path, ...],
    url: str | None,
    run_name: str | None,
    since: str | None,
    at: float | None,
    namespace: str | None,
    release: str | None,
    as_json: bool,
) -> None:
    """Evaluate the queries of every panel of FILES (Grafana's JSON; the chart's own by default) and count the series.

    Exit code 1 where a query returns nothing in the window, or a panel has no unit.
    """
    panels = [panel for path in files or shipped() for panel in board_check.asked(_read(path))]
    if (url is None) == (run_name is None):
        raise InputError("name one of --prometheus URL and --run NAME")
    with _asked(url, run_name) as (client, newest, length):
        window = length if since is None else parse_duration(since, option="--since")
        end = newest if at is None else at
        namespace, release = _chosen(client, namespace, release, at=end, window=window)
        shown = _evaluate(client, panels, end=end, window=window, namespace=namespace, release=release)
    if as_json:
        told = {"namespace": namespace, "release": release, "panels": [one.as_dict() for one in shown]}
        click.echo(json.dumps(told, indent=2))
    else:
        _tell(shown)
    sys.exit(EXIT_EMPTY if board_check.empty(shown) else 0)


@contextlib.contextmanager
def _asked(url: str | None, run_name: str | None) -> Iterator[tuple[Client, float, float]]:
    """Yield what to ask, the newest moment it knows (seconds since the epoch) and how long before that it is of use."""
    if url is not None:
        with Client(url) as client:
            yield client, time.time(), SINCE_SECONDS
        return
    run = report.find(REPORTS, run_name)
    kept = run.directory / alerts.DIRECTORY
    if not (kept / "data").is_dir():
        raise InputError(f"{kept}: nothing was kept there; `harness spike --monitor` keeps it")
    with prometheus.run(kept, []) as server:
        result = run.result
        yield server.client, result.started_at + result.duration_seconds, max(result.duration_seconds, 60.0)


def shipped() -> list[Path]:
    """Return the dashboards that the chart carries."""
    return sorted((CHART / "files" / "dashboards").glob("*.json"))


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: is no JSON: {error}") from error
    return document


def _evaluate(
    client: Client, panels: Sequence[Asked], *, end: float, window: float, namespace: str, release: str
) -> list[Shown]:
    def ask(expression: str, at_once: bool) -> Sequence[Curve | Sample]:
        try:
            if at_once:
                return client.query(expression, at=end)
            step = max(window / STEPS, 1.0)
            return client.query_range(expression, start=end - window, end=end, step_seconds=step)
        except InputError as error:
            raise ValueError(str(error)) from error

    chosen = board_check.variables(
        namespace=namespace, release=release, window_seconds=window, rate_seconds=RATE_SECONDS
    )
    return board_check.check(panels, ask, chosen)


def _chosen(client: Client, namespace: str | None, release: str | None, *, at: float, window: float) -> tuple[str, str]:
    """Return namespace and release, found where they are not given. Raises InputError where none or several fit."""
    found = client.query(f"count by (namespace, release) (last_over_time({NAMED_BY}[{window:.0f}s]))", at=at)
    pairs = {(one.labels.get("namespace", ""), one.labels.get("release", "")) for one in found}
    fitting = sorted(pair for pair in pairs if namespace in (None, pair[0]) and release in (None, pair[1]))
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(f"{release} in {namespace}" for namespace, release in sorted(pairs)) or "none"
    what = "no release fits" if not fitting else "several releases fit"
    raise InputError(f"{what}: --namespace and --release name one of those with an exporter: {known}")


def _tell(shown: Sequence[Shown]) -> None:
    table = table_of("dashboard", "panel", "unit", "series>", "")
    for one in shown:
        style = "bold red" if one.problem else ""
        counts = " + ".join(map(str, one.series))
        table.add_row(one.board, one.title, one.unit or "-", counts, Text(one.problem or "", style=style))
    Console(width=160 if not sys.stdout.isatty() else None).print(table)
    problems = board_check.empty(shown)
    total = sum(one.total for one in shown)
    click.echo(f"{len(shown)} panels, {total} series, {len(problems)} with a problem")
