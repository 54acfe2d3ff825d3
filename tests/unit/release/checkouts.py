"""Checkouts of their own for tests: real git, and the few files that a release looks at."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from harness.chart.values import CHART, ROOT
from harness.release import changelog, chart_yaml, project
from harness.release.rules import CHART_FILE, PROJECT_FILE

CHANGELOG = """# Changelog

## [Unreleased]

### Added
- A thing.

## [0.2.0] - 2026-01-02

### Added
- An earlier thing.
"""

IDENTITY = {
    **{f"GIT_{who}_{what}": f"test{'@project.example' if what == 'EMAIL' else ''}"
       for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    "GIT_AUTHOR_DATE": "2026-01-02T00:00:00Z",
    "GIT_COMMITTER_DATE": "2026-01-02T00:00:00Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}  # fmt: skip


def git(root: Path, *arguments: str) -> str:
    """Run git in a checkout, as somebody whose settings are nobody's."""
    return subprocess.run(
        ["git", *arguments], cwd=root, env={**os.environ, **IDENTITY}, check=True, capture_output=True, text=True,
        timeout=60,
    ).stdout  # fmt: skip


def commit(root: Path) -> str:
    """Commit everything, and return the commit."""
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "A commit")
    return git(root, "rev-parse", "HEAD").strip()


def small(root: Path) -> Path:
    """Make a checkout of chart 0.2.0 with images 0.1.0 and a change since, of the files that a release looks at."""
    chart = root / Path(CHART_FILE).parent
    chart.mkdir(parents=True)
    text = chart_yaml.with_versions((CHART / "Chart.yaml").read_text(), version="0.2.0", app_version="0.1.0")
    (chart / "Chart.yaml").write_text(text)
    shutil.copy2(CHART / "values.yaml", chart / "values.yaml")
    shutil.copy2(ROOT / "requirements.lock", root / "requirements.lock")
    (root / "images").mkdir()
    shutil.copy2(ROOT / "images" / "versions.yaml", root / "images" / "versions.yaml")
    (root / PROJECT_FILE).write_text(project.with_version((ROOT / PROJECT_FILE).read_text(), "0.1.0"))
    (root / changelog.FILE).write_text(CHANGELOG)
    (root / "examx").mkdir()
    (root / "examx" / "tasks.py").write_text("# tasks\n")
    git(root, "init", "--quiet")
    commit(root)
    return root
