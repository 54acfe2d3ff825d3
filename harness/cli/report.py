"""`harness report`: show a run again."""

from __future__ import annotations

import json
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from harness.chaos.verdict import FILE_NAME as CHAOS
from harness.chaos.verdict import Verdict
from harness.errors import InputError
from harness.files import write_atomically
from harness.spike import capacity, picture, report, table, words
from harness.spike.report import Run

REPORTS = Path("reports")


@click.command(name="report")
@click.argument("run", required=False, metavar="[RUN]")
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@click.option(
    "--picture",
    "picture_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the run as an SVG file too, for pages that show no HTML.",
)
@click.option("--list", "list_runs", is_flag=True, help="List the runs, newest first.")
@click.option("--table", "as_table", is_flag=True, help="Print all runs (or RUN) side by side, in Markdown.")
@click.option(
    "--capacity",
    "as_capacity",
    is_flag=True,
    help="Print what each class held in all runs (or RUN), and what kept tasks waiting, in Markdown.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: the result, or with --list the runs.")
@click.option(
    "--reports",
    type=click.Path(path_type=Path, file_okay=False),
    default=REPORTS,
    show_default=True,
    help="The folder runs are kept in.",
)
def command(
    run: str | None,
    open_page: bool,
    picture_file: Path | None,
    list_runs: bool,
    as_table: bool,
    as_capacity: bool,
    as_json: bool,
    reports: Path,
) -> None:
    """Render a run's page anew and print its verdict; a comparison's too.

    RUN is a folder of `reports`, or the path of one; without it the newest run is shown. Of a chaos run it shows what
    each fault cost as well, of a soak, a plan or a tuning what is kept of it. --list, --table and --capacity
    change nothing. Exits 0 whatever the verdict: the run itself has exited 1 if it missed an objective.
    """
    _require_one_view(
        {"--list": list_runs, "--table": as_table, "--capacity": as_capacity},
        {
            "RUN": list_runs and run is not None,
            "--open": open_page,
            "--picture": picture_file is not None,
            "--json": as_json and not list_runs,
        },
    )
    if as_table or as_capacity:
        shown = table.markdown if as_table else capacity.markdown
        found_runs = report.runs(reports) if run is None else [report.find(reports, run)]
        click.echo(shown(one.result for one in found_runs))
        return
    if list_runs:
        _list(report.runs(reports), as_json=as_json)
        return
    try:
        found = report.find(reports, run)
    except InputError:
        page = _show_other(reports, run, picture_file, as_json=as_json)
        if page is None:
            raise
    else:
        page = _show(found, picture_file, as_json=as_json)
    if open_page and not webbrowser.open(page.resolve().as_uri()):
        click.echo(f"no browser could be opened; the page is {page}", err=True)


def _require_one_view(views: Mapping[str, bool], others: Mapping[str, bool]) -> None:
    """Raise InputError where a view of runs is given with another one, or with what such views do not know."""
    chosen = [name for name, is_given in views.items() if is_given]
    unfit = [*chosen[1:], *(name for name, is_given in others.items() if is_given)]
    if chosen and unfit:
        raise InputError(f"{chosen[0]} does not go with {', '.join(unfit)}: leave one out")


def _show(found: Run, picture_file: Path | None, *, as_json: bool) -> Path:
    try:
        page = report.write(found.result, found.directory)
    except OSError as error:
        raise InputError(
            f"{found.directory / report.FILE_NAME}: cannot be written: {error.strerror}; --list, --table and "
            "--capacity write nothing"
        ) from error
    if picture_file is not None:
        _draw(found, picture_file)
    if as_json:
        click.echo(json.dumps(found.result.as_dict(), allow_nan=False))
    else:
        click.echo(words.verdict_text(found.result, report=str(page)))
        _show_faults(found.directory)
    return page


def _show_other(reports: Path, name: str | None, picture_file: Path | None, *, as_json: bool) -> Path | None:
    """Show what is no spike's run, and return its page; None where nobody knows it."""
    from harness.cli import folders  # a second, which the usual case does not need

    other = folders.find(reports, name)
    if other is None:
        return None
    if picture_file is not None:
        raise InputError(f"--picture {picture_file}: only a spike's run is drawn, and {name} is {other.what}")
    other.show(as_json)
    return other.page


def _show_faults(directory: Path) -> None:
    """Show what each fault cost where the run is one of `harness chaos`."""
    path = directory / CHAOS
    if not path.is_file():
        return
    from harness.cli import chaos  # as above

    try:
        verdict = Verdict.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no verdict of a chaos run: {type(error).__name__}: {error}") from error
    click.echo()
    chaos.show(verdict, directory)


def _draw(found: Run, target: Path) -> None:
    try:
        text = picture.render(found.result)
    except ValueError as error:
        raise InputError(f"{found.directory}: {error}") from error
    if not target.parent.is_dir():
        raise InputError(f"--picture {target}: there is no folder {target.parent}")
    try:
        write_atomically(target, text)
    except OSError as error:
        raise InputError(f"--picture {target}: {error.strerror}; name a file you may write") from error


def _list(found: list[Run], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_line(run) for run in found]))
        return
    if not found:
        click.echo("no runs yet; `make spike` makes one")
    width = max((len(run.directory.name) for run in found), default=0)
    for run in found:
        line = _line(run)
        click.echo(words.printable(f"{line['verdict']:<10}  {run.directory.name:<{width}}  {line['sentence']}"))


def _line(run: Run) -> dict[str, Any]:
    told = words.verdict(run.result)
    return {
        "run": run.directory.name,
        "scenario": run.result.scenario,
        "runtime": run.result.runtime,
        "started_at": run.result.started_at,
        "verdict": told.kind,
        "sentence": told.sentence,
        "report": str(run.directory / report.FILE_NAME),
    }
