"""How near forecasts come to real runs: `python -m benchmarks.foretold`.

Each scenario runs several times. Its forecast was written before the load began, from figures of another scenario
(`harness calibrate`), which a row of its own says; the medians of the runs are compared with it. A row holds as
harness.spike.forecast says: 5 % for the drain and the most messages waiting, the same replica counts in most runs.
Exits 1 when a row does not.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run
from harness.errors import HarnessError
from harness.planning.figures import ASSUMED
from harness.spike import forecast, report, sites
from harness.spike.result import Result

SCENARIOS = ("email-campaign", "ai-questions", "mixed-surge", "spike-10x")
RUN_SECONDS = 900.0
RUNS = 3


@dataclass(frozen=True)
class Row:
    """One figure of a scenario: foretold, measured (the median and that of each run), and whether it holds."""

    scenario: str
    figure: str
    foretold: str
    measured: str
    difference: str
    passed: bool


def rows(scenario: str, results: Sequence[Result], *, runs: int) -> list[Row]:
    """Compare the runs of a scenario with their forecast. Raises HarnessError where one has none, or runs are few."""
    forecasts = [one.forecast for one in results if one.forecast is not None]
    if len(results) < runs:
        raise HarnessError(f"{scenario}: {len(results)} runs, {runs} wanted; --resume makes the others")
    if len(forecasts) < len(results):
        raise HarnessError(f"{scenario}: a run has no forecast; run without --no-forecast")
    told = forecasts[0]
    drains = [one.drain_seconds for one in results]
    found = [_origin(scenario, results), _figure(scenario, "drain, s", told["drain_seconds"], drains)]
    for queue, depth in sorted(told["peak_depth_messages"].items()):
        depths = [forecast.peak_depths(one).get(queue) for one in results]
        found.append(_figure(scenario, f"most waiting in {queue}", depth, depths))
    return [*found, *_steps(scenario, told["steps"], results)]


def _origin(scenario: str, results: Sequence[Result]) -> Row:
    """Say where the forecast's figures are from, and whether it is one: told before, and the same for each run."""
    forecasts = [one.forecast or {} for one in results]
    calibration = forecasts[0]["calibration"]
    ahead = min(one.started_at - told["written_at"] for one, told in zip(results, forecasts, strict=True))
    wrong = [
        words
        for words, applies in {
            "not calibrated: harness calibrate": calibration["source"] == ASSUMED,
            "calibrated by the same scenario": f"-{scenario}-" in calibration["source"],
            f"calibrated on {calibration['runtime']}": any(one.runtime != calibration["runtime"] for one in results),
            "not before the load": ahead <= 0,
            "the runs' forecasts differ": any(_compared(told) != _compared(forecasts[0]) for told in forecasts),
        }.items()
        if applies
    ]
    shown = f"written {ahead:,.0f} s before the load, or more"
    return Row(scenario, "forecast", calibration["source"], shown, "; ".join(wrong) or "none", not wrong)


def _compared(told: Mapping[str, Any]) -> Any:
    return [told[key] for key in ("drain_seconds", "peak_depth_messages", "steps")]


def _figure(scenario: str, name: str, told: float | None, measured: Sequence[float | None]) -> Row:
    seen = [value for value in measured if value is not None]
    alike = len(seen) in (0, len(measured))  # a figure that came about in some runs only holds in no case
    compared = forecast.figure(name, told, statistics.median(seen) if seen and alike else None, _shown)
    spread = ", ".join("never" if value is None else _shown(value) for value in sorted(measured, key=_order))
    shown = f"{compared.measured} ({spread})" if alike else spread
    return Row(scenario, name, compared.foretold, shown, compared.difference, compared.passed and alike)


def _shown(value: float) -> str:
    return f"{value:,.1f}"


def _order(value: float | None) -> float:
    return math.inf if value is None else value


def _steps(scenario: str, told: dict[str, list[int]], results: Sequence[Result]) -> Iterator[Row]:
    taken = [forecast.steps_until_done(one) for one in results]
    for deployment in sorted({*told, *(name for each in taken for name in each)}):
        wanted = tuple(told.get(deployment, ()))
        seen = Counter(tuple(each.get(deployment, ())) for each in taken)
        same = seen[wanted]
        shown = "; ".join(f"{forecast.counts(counts)} ({times})" for counts, times in seen.most_common())
        yield Row(
            scenario,
            f"pods of {deployment}",
            forecast.counts(wanted),
            shown,
            f"{same} of {len(taken)} the same",
            same > len(taken) / 2,
        )


def measure(scenario: str, *, runtime: str, runs: int, reports: Path, before: Sequence[Result] = ()) -> list[Result]:
    """Run a scenario, one after the other, until there are `runs` with those `before`.

    Raises HarnessError for a run that came to no result.
    """
    found = list(before)
    for number in range(len(found) + 1, runs + 1):
        click.echo(f"{scenario} on {runtime}, run {number} of {runs}", err=True)
        command = [sys.executable, "-m", "harness", "spike", scenario, "--runtime", runtime, "--json"]
        try:
            done = subprocess.run(
                [*command, "--reports", str(reports)],
                env=dict(os.environ),
                stdout=subprocess.PIPE,
                text=True,
                timeout=RUN_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise HarnessError(f"{scenario}: the run had not ended after {RUN_SECONDS:.0f} s") from None
        if done.returncode not in (0, 1):  # 1: an objective was missed, which is not the question here
            raise HarnessError(f"{scenario}: the run ended with exit code {done.returncode}")
        found.append(Result.from_dict(json.loads(done.stdout)))
    return found


def kept(scenario: str, *, runtime: str, reports: Path) -> list[Result]:
    """Return the results of a scenario that are in the folder already, without runs that were cut short."""
    found = [run.result for run in reversed(report.runs(reports)) if not run.result.interrupted]
    return [one for one in found if (one.scenario, one.runtime) == (scenario, runtime)]


def table(found: Sequence[Row]) -> Table:
    """Return the rows for a terminal."""
    drawn = Table("Scenario", "Figure", "Foretold", "Measured: median (runs)", "Difference", "Holds")
    for row in found:
        drawn.add_row(*(str(value) for value in asdict(row).values() if not isinstance(value, bool)), _yes(row.passed))
    return drawn


def _yes(passed: bool) -> str:
    return "yes" if passed else "NO"


@click.command()
@click.option("--runs", default=RUNS, show_default=True, type=click.IntRange(min=1), help="Runs of each scenario.")
@click.option("--runtime", type=click.Choice(sites.NAMES), default="local", show_default=True, help="Where they run.")
@click.option("--scenario", "scenarios", multiple=True, default=SCENARIOS, help="Which; can be repeated.")
@click.option(
    "--reports", type=click.Path(path_type=Path), default=Path("reports/foretold"), show_default=True, help="Folder."
)
@click.option("--again", is_flag=True, help="Compare the runs that are in the folder, run nothing.")
@click.option("--resume", is_flag=True, help="Count the runs that are in the folder, run only what is missing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(
    runs: int, runtime: str, scenarios: Sequence[str], reports: Path, again: bool, resume: bool, as_json: bool
) -> None:
    """Compare forecasts with real runs; exit 1 where one does not hold. `harness calibrate` comes first."""
    found: list[Row] = []
    for scenario in scenarios:
        results = kept(scenario, runtime=runtime, reports=reports) if again or resume else []
        if not again:
            results = measure(scenario, runtime=runtime, runs=runs, reports=reports, before=results)
        found += rows(scenario, results, runs=runs)
    if as_json:
        click.echo(json.dumps([asdict(row) for row in found], indent=2, ensure_ascii=False))
    else:
        Console().print(table(found))
    sys.exit(0 if all(row.passed for row in found) else 1)


if __name__ == "__main__":
    run(main)
