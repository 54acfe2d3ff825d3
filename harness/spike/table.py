"""Runs side by side, as a Markdown table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath

from harness.spike import forecast
from harness.spike.result import Result
from harness.spike.spread import spread_of
from harness.spike.words import printable

HEADER = ("scenario", "values", "runs", "verdict", "done / offered", "lost", "refused, then accepted", "drain", "ideal")
MORE = ("p95", "pods", "missed")
Key = tuple[str, str, str]
"""Scenario, names of the values files, runtime."""


def markdown(results: Iterable[Result]) -> str:
    """Return one line for each scenario on the same values and runtime; several runs give median and range."""
    groups = alike(results)
    return grid([*HEADER, *MORE], [_row(key, groups[key]) for key in sorted(groups)])


def alike(results: Iterable[Result]) -> dict[Key, list[Result]]:
    """Return the runs of each scenario on the same values and runtime."""
    groups: dict[Key, list[Result]] = {}
    for one in results:
        groups.setdefault(_key(one), []).append(one)
    return groups


def grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in lines)


def _cell(text: str) -> str:
    """Return the text so that it stays in its cell: names come from files."""
    return " ".join(printable(text).split()).replace("|", "\\|")


def _key(result: Result) -> Key:
    files = [PurePath(name).stem for name in result.setup.get("values_files", [])]
    return result.scenario, " + ".join(files), result.runtime


def _row(key: Key, runs: Sequence[Result]) -> list[str]:
    newest = max(runs, key=lambda run: run.started_at)
    passed = sum(run.passed for run in runs)
    return [
        key[0],
        key[1],
        str(len(runs)),
        "met" if passed == len(runs) else "missed" if not passed else f"met {passed} of {len(runs)}",
        f"{sum(run.counts.completed for run in runs):,} / {sum(run.counts.offered for run in runs):,}",
        f"{sum(run.counts.lost for run in runs):,}",
        spread([run.counts.refused_then_accepted for run in runs], "", digits=0),
        spread([run.drain_seconds for run in runs], " s"),
        spread([newest.ideal_drain_seconds], " s"),
        spread([run.latency_seconds.get("p95") for run in runs], " s"),
        steps(newest) or "no change",
        "; ".join(f"{miss.title}: {miss.measured_words} ({miss.target} wanted)" for miss in newest.missed) or "-",
    ]


def spread(values: Iterable[float | None], unit: str, *, digits: int = 1) -> str:
    """Return the median and, for several values, their range."""
    found = spread_of(values)
    if found is None:
        return "-"
    middle = f"{found.median:,.{digits}f}{unit}"
    return middle if found.runs == 1 else f"{middle} ({found.lowest:,.{digits}f}-{found.highest:,.{digits}f})"


def steps(result: Result) -> str:
    """Return each scaled Deployment's replica counts in order, such as "io 1-4-5"."""
    names = {each["deployment"]: name for name, each in result.setup.get("classes", {}).items()}
    return ", ".join(
        f"{names.get(deployment, deployment)} {'-'.join(map(str, counts))}"
        for deployment, counts in sorted(forecast.steps(result).items())
    )
