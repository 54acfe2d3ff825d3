"""The chart and the values files as the commit before had them, which a user upgrades from."""

from __future__ import annotations

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.chart import values, yaml_strict
from harness.chart.values import ROOT

CHART_PATH = "charts/celery-workers"
GIT_SECONDS = 60


@dataclass(frozen=True)
class Earlier:
    """A commit's chart, and its values files of one environment as one file."""

    commit: str
    chart: Path
    values: Path


def earlier(environments: str, directory: Path) -> Earlier:
    """Write out what the last commit but one that changed the chart had; skip the test where history lacks it."""
    log = _git("log", "--max-count=2", "--format=%H", "--", CHART_PATH).decode().split()
    if len(log) < 2:
        pytest.skip(f"the history here has {len(log)} commits of {CHART_PATH}, 2 are needed (a shallow clone?)")
    commit = log[1]
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, CHART_PATH, "values"))) as archive:
        archive.extractall(directory, filter="data")
    chart, merged = directory / CHART_PATH, directory / "user.yaml"
    files = values.environment_files(environments, directory=directory / "values")
    merged.write_text(yaml_strict.dump_all([dict(values.read(files, chart=chart).overrides)]))
    return Earlier(commit, chart, merged)


def _git(*arguments: str) -> bytes:
    """Return what git answers about this checkout; skip the test where it is none."""
    try:
        return subprocess.run(
            ["git", "-C", ROOT, *arguments], check=True, capture_output=True, timeout=GIT_SECONDS
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no git history here: {error}")
