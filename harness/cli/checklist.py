"""`harness checklist`: the spike guide's verification checklist."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from harness.checklist.check import RUNBOOK, check
from harness.checklist.lines import FAIL, PASS, Line
from harness.cli import ops
from harness.cli.endings import EXIT_MISSED
from harness.cli.options import chosen, values_options

_STYLES = {PASS: "green", FAIL: "red"}


@click.command()
@values_options
@click.option("--reports", type=click.Path(path_type=Path), default=Path("reports"), show_default=True, help="Runs.")
@click.option(
    "--runbook", type=click.Path(path_type=Path), default=RUNBOOK, help="Your runbook. Default: the project's."
)
@click.option(
    "--path", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Where the application's code is."
)
def command(reports: Path, runbook: Path, path: Path, as_json: bool, **options: Any) -> None:
    """Hold the guide's checklist against values, runs, the application and the runbook; say what was seen.

    Six lines: scaling policies, queue limits, circuit breakers, alerts, load test, emergency procedures. Exit code 1
    when one fails. What cannot be checked here is not applicable, with the reason.
    """
    values = chosen(**options)
    lines = check(
        values.files,
        set_values=values.set_values,
        release_name=values.release,
        namespace=values.namespace,
        reports=reports,
        runbook=runbook,
        path=path,
        known_commands=ops.command.commands,
    )
    failed = sum(line.verdict == FAIL for line in lines)
    if as_json:
        click.echo(json.dumps({"passed": not failed, "lines": [line.to_dict() for line in lines]}, indent=2))
    else:
        show(lines)
    sys.exit(EXIT_MISSED if failed else 0)


def show(lines: tuple[Line, ...]) -> None:
    """Print the lines for people."""
    for line in lines:
        click.echo(f"{click.style(f'{line.verdict:15}', fg=_STYLES.get(line.verdict, 'yellow'))}{line.title}")
        for sentence in line.evidence:
            click.echo(f"{'':17}{sentence}")
