"""The chart as a package: what it carries, what it installs, what Artifact Hub shows of it."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.chart import yaml_strict
from harness.chart.render import CHART, environment_files
from harness.chart.values import ROOT, defaults
from harness.errors import InputError
from harness.release import changelog as changelogs
from harness.release import chart_yaml

PACKAGED = sorted((ROOT / "tests" / "cluster" / "charts").glob("*.tgz"))
CHANGELOG = """# Changelog

## [Unreleased]

### Added
- Not yet.

## [1.2.0] - 2026-01-02

### Added
- One thing,
  in two lines.
- Another: `thing`.

### Fixed
- A third.

## [1.1.0] - 2026-01-01

### Added
- Long ago.
"""


def described() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml_strict.load_file(CHART / "Chart.yaml")
    return loaded


def run(*command: str | Path) -> str:
    return subprocess.run([*map(str, command)], check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture
def archive(helm: Path, tmp_path: Path) -> Path:
    """The chart as each helm packages it."""
    run(helm, "package", CHART, "--destination", tmp_path)
    return tmp_path / f"celery-workers-{described()['version']}.tgz"


def test_a_package_carries_what_installs_and_nothing_to_test_or_make_it(archive: Path) -> None:
    with tarfile.open(archive) as opened:
        names = {name.removeprefix("celery-workers/") for name in opened.getnames()}
    assert {"Chart.yaml", "README.md", "values.yaml", "values.schema.json", "files/celeryconfig.py"} <= names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"Chart.yaml", "README.md", "values.yaml", "values.schema.json", "files", "templates", ".helmignore"}


def test_a_package_installs_what_the_folder_does(helm: Path, archive: Path) -> None:
    values = [word for path in environment_files("prod,keda") for word in ("--values", path)]
    rendered = run(helm, "template", "celery", archive, *values)
    assert "kind: ScaledObject" in rendered
    assert rendered == run(helm, "template", "celery", CHART, *values)


def test_no_two_different_charts_have_one_version() -> None:
    assert PACKAGED != []
    versions = set()
    for path in PACKAGED:
        with tarfile.open(path) as opened:
            found = opened.extractfile("celery-workers/Chart.yaml")
            assert found is not None
            versions.add(yaml_strict.load_text(found.read().decode(), path.name)["version"])
    assert len(versions) == len(PACKAGED)
    assert described()["version"] not in versions


def test_artifact_hub_shows_what_changelog_and_values_say() -> None:
    chart = described()
    shown = {key: yaml.safe_load(text) for key, text in chart["annotations"].items()}
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert shown["artifacthub.io/changes"] == changelogs.changes(changelog, chart["version"])
    assert shown["artifacthub.io/images"] == chart_yaml.images(defaults(), chart["appVersion"])
    assert shown["artifacthub.io/license"] == "Apache-2.0"
    assert shown["artifacthub.io/prerelease"] is True
    assert all(link["url"].startswith(chart["home"]) for link in shown["artifacthub.io/links"])
    assert chart["sources"] != []
    assert chart["maintainers"] != []


def test_changes_are_those_of_the_version_alone() -> None:
    assert changelogs.changes(CHANGELOG, "1.2.0") == [
        {"kind": "added", "description": "One thing, in two lines."},
        {"kind": "added", "description": "Another: `thing`."},
        {"kind": "fixed", "description": "A third."},
    ]


@pytest.mark.parametrize(
    ("changelog", "message"),
    [
        (CHANGELOG.replace("[1.2.0]", "[1.3.0]"), r"nothing stands under \[1\.2\.0\]"),
        (CHANGELOG.replace("Fixed", "Mended"), "Artifact Hub knows no 'Mended'"),
    ],
)
def test_a_changelog_without_the_version_is_refused(changelog: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        changelogs.changes(changelog, "1.2.0")
