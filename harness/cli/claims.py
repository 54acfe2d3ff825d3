"""`harness claims`: what the two documents claim, and what runs say."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.claims import catalogue, gather, page
from harness.claims.verdicts import NOT_RUN
from harness.files import write_atomically

PAGE = catalogue.FILE.with_suffix(".md")


@click.command()
@click.option("--reports", type=click.Path(path_type=Path), default=Path("reports"), show_default=True, help="Runs.")
@click.option(
    "--claims", "file", type=click.Path(path_type=Path), default=catalogue.FILE, help="Another list of claims."
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), default=PAGE, help="Default: docs/claims.md."
)
@click.option("--pending", is_flag=True, help="Print the commands that are still to be run, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and write nothing.")
def command(reports: Path, file: Path, output: Path, pending: bool, as_json: bool) -> None:
    """Write docs/claims.md: each claim with what result files say of it.

    A claim without the runs it needs gets no verdict but the commands that make them. Exit code 0 whatever the
    verdicts.
    """
    judged = gather.judged(catalogue.load(file), reports)
    if as_json:
        click.echo(json.dumps(page.document(judged), indent=2))
    elif pending:
        for line in dict.fromkeys(command for one in judged for command in one.pending):
            click.echo(line)
    else:
        write_atomically(output, page.markdown(judged))
        waiting = sum(one.verdict == NOT_RUN for one in judged)
        click.echo(f"{output}: {len(judged) - waiting} of {len(judged)} claims have a verdict")
