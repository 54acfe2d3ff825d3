"""`harness validate`: everything that can be checked without a cluster."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from harness.chart.problems import ERROR, Problem
from harness.chart.validate import CAPACITY, FAILED, NOT_CHECKED, MoreChecks, Report, validate
from harness.cli.endings import EXIT_MISSED
from harness.cli.options import chosen, values_options
from harness.spike import sites
from harness.spike.scenario import load_scenario

EXIT_BAD_INPUT = 2
_STYLES = {FAILED: "red", NOT_CHECKED: "yellow"}


@click.command()
@values_options
@click.option("--kubernetes", "versions", metavar="VERSION", multiple=True, help="Instead of all supported versions.")
@click.option("--scenario", metavar="SCENARIO", help="Also foretell this scenario: would its objectives be met?")
@click.option(
    "--rate",
    "rates",
    metavar="CLASS=PER_SECOND[:SECONDS]",
    multiple=True,
    help="Also check that a class's maximum holds so many tasks a second, of SECONDS each. May be repeated.",
)
@click.option(
    "--runtime", type=click.Choice(sites.NAMES), default="local", show_default=True, help="Where --scenario would run."
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Figures of workers for --scenario; those of `harness calibrate` by default.",
)
@click.pass_context
def command(
    context: click.Context,
    versions: tuple[str, ...],
    scenario: str | None,
    rates: tuple[str, ...],
    runtime: str,
    calibration: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Check values and the objects they make.

    In order: strict YAML, the chart's values schema, the chart's own rules (also where the schema refused something),
    the strict Kubernetes schemas of each supported version, the definitions of KEDA and the Prometheus operator, and
    rules across objects. Exit code 2 when something cannot work; a warning alone does not fail, but for what --scenario
    and --rate ask: 1 when that would not be held.
    """
    values = chosen(**options)
    more = _capacity(scenario, rates, runtime, calibration)
    report = validate(
        values.files,
        release=values.release,
        namespace=values.namespace,
        set_values=values.set_values,
        versions=versions or None,
        more=more,
    )
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2))
    else:
        show(report)
    if not report.ok:
        context.exit(EXIT_BAD_INPUT)
    if any(check.problems for check in report.checks if check.name == CAPACITY):
        context.exit(EXIT_MISSED)


def _capacity(scenario: str | None, rates: tuple[str, ...], runtime: str, calibration: Path | None) -> list[MoreChecks]:
    """Return the checks that ask whether the values hold a load. Loading the simulator takes longer than all others."""
    found: list[MoreChecks] = []
    if rates:
        from harness.planning import capacity

        parsed = [capacity.parse_rate(one) for one in rates]
        found.append(lambda manifests: [capacity.check_rates(parsed, manifests)])
    if scenario is not None:
        from harness.planning import calibrations, capacity
        from harness.planning.engine import simulate

        check = partial(
            capacity.check_scenario,
            load_scenario(scenario),
            simulate=simulate,
            place=calibrations.place_of(runtime),
            figures=calibrations.load(calibration, runtime=runtime),
        )
        found.append(lambda manifests: [check(manifests)])
    return found


def show(report: Report) -> None:
    """Print a report for people: problems first, then what was checked."""
    for problem in report.problems:
        _show_problem(problem)
    if report.problems:
        click.echo()
    of_what = ", ".join(report.values) or "the chart's defaults"
    click.echo(f"{of_what}, as release {report.release} in namespace {report.namespace}")
    if report.objects:
        total = sum(report.objects.values())
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(report.objects.items()))
        click.echo(f"{total} objects: {kinds}")
    for check in report.checks:
        status = click.style(f"{check.status:12}", fg=_STYLES.get(check.status, "green"))
        click.echo(f"  {status}{check.name:20}{check.subject}")
    errors = sum(problem.severity == ERROR for problem in report.problems)
    warnings = len(report.problems) - errors
    verdict = "usable" if report.ok else "not usable"
    click.echo(f"{verdict}: {_count(errors, 'error')}, {_count(warnings, 'warning')}")


def _show_problem(problem: Problem) -> None:
    colour = "red" if problem.severity == ERROR else "yellow"
    where = problem.path + (f" ({problem.source})" if problem.source else "")
    separator = ": " if where else ""
    click.echo(f"{click.style(problem.severity, fg=colour)} {where}{separator}{problem.message} [{problem.rule}]")
    if problem.fix:
        click.echo(f"    fix: {problem.fix}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
