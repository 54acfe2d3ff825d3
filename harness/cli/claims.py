"""`harness claims`: what the two documents claim, and what runs say."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.claims import catalogue, gather, page, record
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

    What was read from each run is kept beside the page (claims-runs.json), so runs may be made on several days: a claim
    is judged by the newest ones. One without the runs it needs gets no verdict but the commands that make them. Exit
    code 0 whatever the verdicts.
    """
    kept = output.with_name(f"{output.stem}-runs.json")
    found = gather.gathered(catalogue.load(file), reports, kept)
    judged = found.judged
    if as_json:
        click.echo(json.dumps(page.document(judged), indent=2))
    elif pending:
        for line in dict.fromkeys(command for one in judged for command in one.pending):
            click.echo(line)
    else:
        write_atomically(kept, json.dumps(record.as_document(found.runs), indent=1, allow_nan=False) + "\n")
        write_atomically(output, page.markdown(judged, found.runs))
        waiting = sum(one.verdict == NOT_RUN for one in judged)
        click.echo(f"{output}: {len(judged) - waiting} of {len(judged)} claims have a verdict")
