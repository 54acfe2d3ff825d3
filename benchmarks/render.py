"""What rendering and validating costs beside the helm calls alone: `python -m benchmarks.render`.

Every environment and overlay of values/, and every feature of tests/golden/values, is rendered by one helm call each.
Then the harness renders and validates the same, in a process of its own that remembers nothing. Both are taken in turns
in one run, the fastest round of each counts; exits 1 when their ratio is above the limit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.command_line import run
from harness import tools
from harness.chart.validate import validate
from harness.chart.values import CHART, environment_files
from harness.errors import HarnessError
from tests.golden import refresh

LIMIT_RATIO = 1.5  # issue 5
# Overlays on other environments than the one their golden render has.
FURTHER = ("staging,keda", "uat,keda", "dev,local,keda")


def cases() -> dict[str, list[Path]]:
    """Return name -> values files of everything that is rendered."""
    return refresh.files() | {names: environment_files(names) for names in FURTHER}


def helm_seconds(helm: Path) -> float:
    """Return what the helm calls alone take. Raises CalledProcessError when one fails."""
    started = time.perf_counter()
    for files in cases().values():
        command = [helm, "template", "celery", CHART, *(f"--values={path}" for path in files)]
        subprocess.run([str(word) for word in command], check=True, capture_output=True, timeout=60)
    return time.perf_counter() - started


def harness_seconds() -> float:
    """Return what rendering and validating take in this process. Raises HarnessError for a finding."""
    started = time.perf_counter()
    for name, files in cases().items():
        report = validate(files)
        if not report.ok:
            raise HarnessError(f"{name}: {report.problems[0].text()}")
    return time.perf_counter() - started


def harness_seconds_alone(helm: Path) -> float:
    """Return the same of a new process with an empty cache, without the start of Python."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "XDG_CACHE_HOME": cache, "HELM": str(helm)}
        command = [sys.executable, "-m", "benchmarks.render", "--alone"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=300)
    return float(done.stdout)


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="How often each is measured.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--alone", is_flag=True, hidden=True)
def main(rounds: int, as_json: bool, alone: bool) -> None:
    """Measure and print the ratio; exit 1 when it is above the limit."""
    if alone:
        click.echo(harness_seconds())
        return
    helm = tools.find_helm()
    pairs = [(helm_seconds(helm), harness_seconds_alone(helm)) for _ in range(rounds)]
    result = summary(pairs)
    click.echo(json.dumps(result, indent=2) if as_json else words(result))
    sys.exit(0 if result["ratio"] <= LIMIT_RATIO else 1)


def summary(pairs: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Return the fastest of each and their ratio, and the renders of a round; a busy machine only ever adds."""
    helm, ours = (min(column) for column in zip(*pairs, strict=True))
    return {
        "renders": len(cases()),
        "helm_seconds": helm,
        "harness_seconds": ours,
        "ratio": ours / helm,
        "limit": LIMIT_RATIO,
    }


def words(result: dict[str, float]) -> str:
    """Return the result as one line."""
    return (
        f"{result['renders']} renders: helm alone {result['helm_seconds']:.2f} s, rendered and validated "
        f"{result['harness_seconds']:.2f} s, ratio {result['ratio']:.2f} (at most {result['limit']})"
    )


if __name__ == "__main__":
    run(main)
