"""The alerts tried by promtool: `python -m tests.chart.rules`, or `make alerts`.

Exits 1 where an alert fires when it must not, or is silent when it must fire.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run
from tests.chart.rules import trial
from tests.chart.rules.cases import CASES
from tests.chart.rules.trial import Count


def show(counts: Sequence[Count], console: Console) -> None:
    """Print the counts for a person."""
    table = Table("alert", "severity", box=None, pad_edge=False)
    for heading in ("cases", "must fire", "must be silent", "wrong"):
        table.add_column(heading, justify="right")
    for one in counts:
        table.add_row(one.alert, one.severity, *map(str, (one.cases, one.fires, one.silent, one.failed)))
    console.print(table)


def total(counts: Sequence[Count]) -> str:
    """Return the sums in a sentence."""
    cases, fires, silent, failed = (
        sum(getattr(one, name) for one in counts) for name in ("cases", "fires", "silent", "failed")
    )
    return (
        f"{len(counts)} alerts, {cases} cases: must fire at {fires} moments and be silent at {silent}; "
        f"promtool finds {failed} wrong"
    )


def show_cases(against: Mapping[str, str]) -> None:
    """Print each case with its moments, and promtool's words against it."""
    for case in CASES:
        moments = [f"{what} at {', '.join(at)}" for what, at in (("fires", case.fires), ("silent", case.silent)) if at]
        rules = "" if case.rules == "prod" else f" [rules: {case.rules}]"
        click.echo(f"{case.alert}: {case.name}{rules}: {'; '.join(moments)}")
    for name, words in against.items():
        click.echo(f"\nWRONG {name}\n{words}")


@click.command()
@click.option("--cases", is_flag=True, help="Print each case too, with the moments it looks at.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(cases: bool, as_json: bool) -> None:
    """Try every alert on made-up series: when it fires, when it does not, and when it is silent again."""
    found = trial.rendered()
    with tempfile.TemporaryDirectory(prefix="celery-workers-promtool-") as place:
        against = trial.objections(found, Path(place))
    counts = trial.counts(found, against)
    if as_json:
        click.echo(json.dumps({"alerts": [asdict(one) for one in counts], "wrong": against}, indent=2))
    else:
        show(counts, Console())
        if cases or against:
            show_cases(against)
        click.echo(total(counts))
    sys.exit(1 if against else 0)


if __name__ == "__main__":
    run(main)
