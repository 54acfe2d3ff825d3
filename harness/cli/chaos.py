"""`harness chaos`: faults under a steady load, and what each cost."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from harness.chaos import faults, run
from harness.chaos.verdict import FILE_NAME, Verdict
from harness.cli.endings import EXIT_MISSED
from harness.cli.progress import TerminalProgress
from harness.spike.progress import Progress, SilentProgress

WIDTH = 110  # where nobody says how wide the terminal is


@click.command()
@click.option("--fault", "names", multiple=True, help="A fault by name; can be repeated. All of them by default.")
@click.option("--ci", "for_ci", is_flag=True, help=f"The ones CI runs: {', '.join(faults.IN_CI)}.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Their order, and whom they hit.")
@click.option(
    "--env", "environment", default=run.ENVIRONMENT, show_default=True, help="Files of values/, in this order."
)
@click.option(
    "--reports", type=click.Path(path_type=Path), default=Path("reports"), show_default=True, help="Where reports go."
)
@click.option("--list", "list_only", is_flag=True, help="List the faults and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print chaos.json, no progress; with --list the faults.")
def command(
    names: tuple[str, ...],
    for_ci: bool,
    seed: int,
    environment: str,
    reports: Path,
    list_only: bool,
    as_json: bool,
) -> None:
    """Run real workers under a steady load while faults strike, and account for every task.

    Starts RabbitMQ, PostgreSQL, Redis and a proxy of its own. Exit code 1 when a task was lost, a dead letter is not
    explained, an effect happened again that must not, or the workers did not come back.
    """
    if list_only:
        _list(as_json=as_json)
        return
    chosen = faults.choose(faults.IN_CI if for_ci else names)
    progress: Progress = SilentProgress() if as_json else TerminalProgress()
    request = run.ChaosRequest(faults=chosen, seed=seed, reports=reports, environment=environment)
    try:
        directory, verdict = run.perform(request, progress=progress)
    finally:
        progress.close()
    if as_json:
        click.echo((directory / FILE_NAME).read_text())
    else:
        show(verdict, directory)
    sys.exit(0 if verdict.passed else EXIT_MISSED)


def _list(*, as_json: bool) -> None:
    titles = {name: fault.title for name, fault in faults.CATALOGUE.items()}
    click.echo(
        json.dumps(titles, indent=2) if as_json else "\n".join(f"{name:18} {text}" for name, text in titles.items())
    )


def show(verdict: Verdict, directory: Path) -> None:
    """Print what each fault cost."""
    table = Table(title=f"Chaos, seed {verdict.seed}")
    for heading in ("fault", "hits", "accepted", "done", "dead letters", "lost", "again", "back after"):
        table.add_column(heading, justify="left" if heading in ("fault", "dead letters") else "right")
    for row in verdict.rows:
        deaths = ", ".join(f"{count} {reason}" for reason, count in row.deaths.items()) or "0"
        back = "never" if row.recovery_seconds is None else f"{row.recovery_seconds:.0f} s"
        table.add_row(
            row.fault, str(row.injected), f"{row.accepted:,}", f"{row.completed:,}", deaths, str(row.lost),
            str(row.duplicated), back,
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)
    click.echo(f"mails sent again: {verdict.mail_duplicates} (in work at a strike: {verdict.mails_at_risk})")
    for problem in verdict.problems:
        click.echo(f"  PROBLEM  {problem}")
    click.echo(f"{'passed' if verdict.passed else 'MISSED'}; the report: {directory / 'report.html'}")
