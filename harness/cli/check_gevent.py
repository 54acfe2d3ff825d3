"""`harness check-gevent`: which tasks would hold up the others of a gevent worker."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import click

from harness.chart.yaml_strict import shown
from harness.cli.endings import EXIT_MISSED
from harness.geventcheck import findings, run
from harness.geventcheck.findings import Finding, Findings
from harness.geventcheck.samples import load_calls

_STYLES = {findings.OK: "green"}


@click.command(name="check-gevent")
@click.argument("app", metavar="APP")
@click.option(
    "--calls", "calls_file", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The sample calls."
)
@click.option(
    "--threshold-seconds",
    type=click.FloatRange(0.02, 60),
    default=0.1,
    show_default=True,
    help="How long a task may hold the loop, and with it all other tasks of its pod.",
)
@click.option(
    "--call-seconds",
    type=click.FloatRange(1, 3600),
    default=60.0,
    show_default=True,
    help="How long one call may take.",
)
@click.option(
    "--python",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The interpreter that has the application, Celery and gevent. Default: the harness' own.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    app: str,
    calls_file: Path,
    threshold_seconds: float,
    call_seconds: float,
    python: Path | None,
    as_json: bool,
) -> None:
    """Call tasks of APP (as in `celery -A APP`) under gevent, and name those that hold its loop.

    The calls are real: they need what the tasks need, so give them a staging environment. What they publish goes
    nowhere. Each is made twice and the second is judged. Exit code 1 when one blocks, hangs or fails.
    """
    found = run.check(
        app,
        load_calls(calls_file),
        threshold_seconds=threshold_seconds,
        call_seconds=call_seconds,
        python=python,
        source=shown(calls_file),
    )
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
    else:
        show(found)
    sys.exit(0 if found.passed else EXIT_MISSED)


def show(found: Findings) -> None:
    """Print what was found for people."""
    width = max(len(one.task) for one in found.calls)
    for one in found.calls:
        click.echo(
            f"{click.style(f'{one.verdict:8}', fg=_STYLES.get(one.verdict, 'red'))}{one.task:{width}}  {_what(one)}"
        )
        for label, frame in _frames(one):
            place = replace(frame, file=shown(Path(frame.file)))
            click.echo(f"{'':8}  {label} {place}")
    if found.unchecked:
        click.echo(f"unchecked, for want of a sample: {', '.join(found.unchecked)}")
    bad = sum(one.verdict != findings.OK for one in found.calls)
    held = f"held the loop for {found.threshold_seconds:g} s or longer, hung or failed"
    click.echo(f"{len(found.calls)} calls, {bad} of which {held}; {len(found.unchecked)} tasks unchecked")


def _what(one: Finding) -> str:
    if one.verdict == findings.HANGS:
        return "never gave the loop back"
    held = f"held the loop for {one.blocked_seconds:.3f} s"
    if one.verdict == findings.BLOCKS:
        held += ", computing" if one.computes else ", waiting for what gevent cannot switch"
    return f"{held}; {one.error}" if one.error else held


def _frames(one: Finding) -> list[tuple[str, findings.Frame]]:
    """Return the application's frame, and the innermost where that is another."""
    found = [("at", one.task_frame)] if one.task_frame else []
    if one.call and one.call != one.task_frame:
        found.append(("in", one.call))
    return [(label, frame) for label, frame in found if frame is not None]
