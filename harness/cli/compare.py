"""`harness compare`: two sets of values side by side under the same load, with the same CPU and memory."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path

import click

from harness.cli.endings import EXIT_MISSED
from harness.cli.progress import TerminalProgress
from harness.cli.spike import foretelling
from harness.compare import run, state, words
from harness.compare.budget import Budget
from harness.compare.state import Begun, Wanted
from harness.errors import InputError
from harness.planning import cost_files
from harness.spike import result, sites
from harness.spike.progress import Progress, SilentProgress
from harness.spike.report import FILE_NAME as PAGE_NAME

SCENARIOS = ("before-after", "interference")


@click.command()
@click.argument("names", nargs=-1, metavar="[SCENARIO]...")
@click.option("--before", default="baseline", show_default=True, help="Files of values/ of the old way, in this order.")
@click.option("--after", default="prod,keda", show_default=True, help="Files of values/ of the new way.")
@click.option(
    "--runs", type=click.IntRange(1), default=3, show_default=True, help="Runs of each scenario on each side."
)
@click.option("--runtime", type=click.Choice(sites.NAMES), default="local", show_default=True, help="Where they run.")
@click.option(
    "--budget", metavar="CORES,GIB", help="What all pods of a side may request; the minimum of --before by default."
)
@click.option("--prices", type=click.Path(path_type=Path, dir_okay=False), help="A price file; example prices without.")
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="The folder comparisons are kept in.",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Go on with a comparison that was cut; all else but prices is as it was.",
)
@click.option("--no-forecast", is_flag=True, help="Run without foretelling the runs first.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison's result.json, no progress.")
def command(
    names: tuple[str, ...],
    before: str,
    after: str,
    runs: int,
    runtime: str,
    budget: str | None,
    prices: Path | None,
    reports: Path,
    resume: Path | None,
    no_forecast: bool,
    open_page: bool,
    as_json: bool,
) -> None:
    """Run each SCENARIO on two sets of values in turn, and compare them.

    Without a name: before-after (all 25 tasks, a minute of ten times as much) and interference (computing tasks come
    beside steady mails). Exit code 1 when a run missed an objective.
    """
    priced_at = cost_files.load_prices(prices)
    if resume is not None:
        begun = state.resumed(resume)
        site = sites.find(begun.wanted.runtime, broker_port=None)
    else:
        site = sites.find(runtime, broker_port=None)
        wanted = Wanted(
            scenarios=names or SCENARIOS,
            before=before,
            after=after,
            runtime=runtime,
            runs=runs,
            budget=None if budget is None else _budget(budget),
        )
        begun = state.begin(reports, wanted, site=site)
    progress: Progress = SilentProgress() if as_json else TerminalProgress()
    foretell = None if no_forecast else foretelling(begun.wanted.runtime, None)
    try:
        comparison = run.perform(begun, site=site, progress=progress, prices=priced_at, foretell=foretell)
    except BaseException:
        _told_how_to_go_on(begun)
        raise
    finally:
        progress.close()
    page = begun.directory / PAGE_NAME
    click.echo((begun.directory / result.FILE_NAME).read_text() if as_json else words.text(comparison, page=str(page)))
    if open_page:
        webbrowser.open(page.resolve().as_uri())
    sys.exit(0 if comparison.passed else EXIT_MISSED)


def _told_how_to_go_on(begun: Begun) -> None:
    click.echo(f"go on with it: harness compare --resume {begun.directory}", err=True)


def _budget(text: str) -> Budget:
    """Read CORES,GIB. Raises InputError."""
    try:
        cores, memory = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--budget {text}: write cores and GiB, as in 4,64") from None
    if not (cores > 0 and memory > 0):
        raise InputError(f"--budget {text}: cores and GiB must be above 0, as in 4,64")
    return Budget(cores=cores, memory_gib=memory)
