"""`harness soak`: a great many tasks with faults now and then, and an account of every one."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from harness.cli.chaos import WIDTH
from harness.cli.endings import EXIT_MISSED
from harness.cli.progress import TerminalProgress
from harness.errors import InputError
from harness.soak import report, run, state, strikes
from harness.soak.verdict import Verdict
from harness.spike.progress import Progress, SilentProgress

NEWEST = "newest"


@click.command()
@click.option("--tasks", type=click.IntRange(1), default=1_000_000, show_default=True, help="How many tasks.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The order of tasks and faults.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="At most so many tasks a second are offered.")
@click.option(
    "--at-least",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    help="Tasks a second below which the run counts as missed.",
)
@click.option("--faults/--no-faults", "with_faults", default=True, show_default=True, help="Break things meanwhile.")
@click.option("--fault", "names", multiple=True, help="A fault by name instead of a soak's own; can be repeated.")
@click.option(
    "--env", "environment", default=run.ENVIRONMENT, show_default=True, help="Files of values/, in this order."
)
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Where runs are kept.",
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value=NEWEST,
    metavar="[RUN]",
    help="Go on with a run that was cut (the newest where none is named); all else is as it was.",
)
@click.option("--json", "as_json", is_flag=True, help="Print soak.json, no progress.")
def command(
    tasks: int,
    seed: int,
    rate: float | None,
    at_least: float,
    with_faults: bool,
    names: tuple[str, ...],
    environment: str,
    reports: Path,
    resume: str | None,
    as_json: bool,
) -> None:
    """Run a million tasks through real workers, break things now and then, and account for every one.

    90 % short HTTP calls and rows, 9 % mail, 1 % documents. It can be ended or killed at any moment: --resume goes on.
    Exit code 1 when a task was lost, an effect happened again that must not, or it was too slow.
    """
    if resume is not None:
        found = state.unfinished(reports, None if resume == NEWEST else resume)
    else:
        if names and not with_faults:
            raise InputError("--fault and --no-faults exclude each other: leave one out")
        chosen = tuple(fault.name for fault in strikes.chosen(names)) if with_faults else ()
        wanted = state.Wanted(
            tasks=tasks,
            seed=seed,
            faults=chosen,
            environment=environment,
            at_least_per_second=at_least,
            at_most_per_second=rate,
        )
        found = run.begin(reports, wanted)
    progress: Progress = SilentProgress() if as_json else TerminalProgress()
    try:
        verdict = run.perform(found, progress=progress)
    finally:
        progress.close()
        if not found.finished:
            click.echo(f"go on with it: harness soak --reports {reports} --resume {found.name}", err=True)
    if as_json:
        click.echo((found.directory / state.VERDICT).read_text())
    else:
        show(verdict, found)
    sys.exit(0 if verdict.passed else EXIT_MISSED)


def show(verdict: Verdict, found: state.Run) -> None:
    """Print what became of a soak."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    for table in (_kinds(verdict), _strikes(verdict)):
        if table.row_count:
            console.print(table)
    click.echo(
        f"{verdict.total['completed']:,} of {verdict.tasks:,} tasks done in {verdict.seconds:,.0f} s "
        f"({verdict.per_second:,.0f} a second; {verdict.at_least_per_second:g} wanted), "
        f"lost {verdict.total['lost']:,}; "
        f"mails sent again {verdict.again['mail']:,} (at risk {verdict.mails_at_risk:,})"
    )
    for problem in verdict.problems:
        click.echo(f"  PROBLEM  {problem}")
    click.echo(f"{'passed' if verdict.passed else 'MISSED'}; the report: {found.directory / report.FILE_NAME}")
    if not verdict.passed:
        click.echo(f"next: what broker, database and services hold is kept in {found.directory / state.DATA}")


def _kinds(verdict: Verdict) -> Table:
    table = Table(title=f"Soak {verdict.run}")
    for heading in ("kind", "tasks", "accepted", "done", "dead letters", "lost", "again"):
        table.add_column(heading, justify="left" if heading == "kind" else "right")
    for name, counts in {**verdict.kinds, "all": verdict.total}.items():
        keys = ("tasks", "accepted", "completed", "dead_lettered", "lost", "again")
        table.add_row(name, *(f"{counts[key]:,}" for key in keys))
    return table


def _strikes(verdict: Verdict) -> Table:
    table = Table(title=f"Faults, seed {verdict.seed}")
    for heading in ("fault", "at", "hits", "accepted", "done", "dead letters", "lost", "again", "back after"):
        table.add_column(heading, justify="left" if heading == "fault" else "right")
    for row in verdict.strikes:
        back = "never" if row.recovery_seconds is None else f"{row.recovery_seconds:.0f} s"
        numbers = (row.accepted, row.completed, row.dead_lettered, row.lost, row.again)
        table.add_row(
            row.fault, f"{row.at_seconds:,.0f} s", str(row.hits), *(f"{number:,}" for number in numbers), back
        )
    return table
