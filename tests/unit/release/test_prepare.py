"""A tree is made to say a version, in all its files or in none."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from harness.errors import HarnessError, InputError
from harness.release import changelog, checkout, rules
from harness.release import prepare as prepare_module
from harness.release.prepare import prepare
from harness.release.rules import CHART_FILE
from tests.unit.release.checkouts import commit, git, small

DAY = date(2026, 3, 4)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "checkout"
    made.mkdir()
    return small(made)


def nothing(root: Path) -> None:
    """Nothing is generated in this checkout."""


def findings(root: Path) -> list[str]:
    found = checkout.tree(root, checkout.commit(root), last_day=DAY, stale=lambda root: ())
    return [str(finding) for finding in rules.findings(found)]


def test_a_prepared_tree_is_fit_once_it_is_committed(root: Path) -> None:
    assert any("[Unreleased]: changes stand there" in line for line in findings(root))
    changed = prepare(root, "0.3.0", day=DAY, refresh=nothing)
    assert changed == ["CHANGELOG.md", CHART_FILE]
    (line,) = findings(root)
    assert line.startswith("work tree: files: 2 not committed: CHANGELOG.md, charts/celery-workers/Chart.yaml")
    commit(root)
    assert findings(root) == []
    assert checkout.chart(root)["version"] == "0.3.0"
    assert "A thing." in checkout.chart(root)["annotations"]["artifacthub.io/changes"]
    section = changelog.section(checkout.changelog(root), "0.3.0")
    assert section is not None
    assert (section.date, section.text) == ("2026-03-04", "### Added\n- A thing.")


def test_package_and_images_get_another_version_when_it_is_asked_for(root: Path) -> None:
    before = (root / "pyproject.toml").read_text()
    prepare(root, "0.3.0", app_version="0.7.0", day=DAY, refresh=nothing)
    assert (checkout.chart(root)["appVersion"], checkout.project_version(root)) == ("0.7.0", "0.7.0")
    differing = [
        (old, new)
        for old, new in zip(before.splitlines(), (root / "pyproject.toml").read_text().splitlines(), strict=True)
        if old != new
    ]
    assert [new for _, new in differing] == ['version = "0.7.0"']
    assert "examx:0.7.0" in checkout.chart(root)["annotations"]["artifacthub.io/images"]


@pytest.mark.parametrize("error", [HarnessError, KeyboardInterrupt])
def test_where_generating_fails_nothing_was_changed(root: Path, error: type[BaseException]) -> None:
    def fail(root: Path) -> None:
        assert checkout.chart(root)["version"] == "0.3.0"
        raise error

    with pytest.raises(error):
        prepare(root, "0.3.0", app_version="0.7.0", day=DAY, refresh=fail)
    assert git(root, "status", "--porcelain") == ""


def test_a_file_that_cannot_be_written_is_named_and_the_others_are_put_back(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = prepare_module.write_atomically

    def write(path: Path, text: str) -> Path:
        if path.name == "Chart.yaml" and "0.3.0" in text:  # the last of them
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return really(path, text)

    monkeypatch.setattr(prepare_module, "write_atomically", write)
    with pytest.raises(InputError, match=r"^charts/celery-workers/Chart.yaml: cannot be written: No space left"):
        prepare(root, "0.3.0", app_version="0.7.0", day=DAY, refresh=nothing)
    assert git(root, "status", "--porcelain") == ""


def emptied(root: Path) -> None:
    path = root / "CHANGELOG.md"
    path.write_text(path.read_text().replace("- A thing.\n", ""))


def tagged(root: Path) -> None:
    git(root, "tag", "v0.9.0")


def unmarked(root: Path) -> None:
    path = root / CHART_FILE
    path.write_text(path.read_text().replace("version: ", "version : ", 1))


def versionless(root: Path) -> None:
    path = root / "pyproject.toml"
    path.write_text(re.sub(r'^version = "(.*)"$', r"version = '\1'", path.read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("version", "app_version", "first", "message"),
    [
        ("0.3", None, nothing, "VERSION: '0.3' is no version of SemVer"),
        ("0.1.9", None, nothing, "VERSION: 0.1.9 comes before 0.2.0, the version in charts/celery-workers/Chart.yaml"),
        ("0.2.0", None, nothing, r"CHANGELOG.md: \[0.2.0\] has a section already"),
        ("0.3.0", None, tagged, "VERSION: 0.3.0 does not come after 0.9.0, the newest tag"),
        ("0.3.0", "1.0.0-rc.1", nothing, "--app-version: '1.0.0-rc.1' is no version of a Python package in its usual "),
        ("0.3.0", "1.0+ours", nothing, "--app-version: '1.0.ours' is no version of a Python package"),
        ("0.3.0", "new", nothing, "--app-version: 'new' is no version of a Python package"),
        ("0.3.0", None, emptied, r"CHANGELOG.md: nothing stands under \[Unreleased\]"),
        ("0.3.0", None, unmarked, "Chart.yaml: version: 0 lines of it; write one, at the left margin"),
        ("0.3.0", None, versionless, "pyproject.toml: project.version: no line of it"),
    ],
)
def test_what_cannot_be_prepared_is_refused_and_nothing_changed(
    root: Path, version: str, app_version: str | None, first: Callable[[Path], None], message: str
) -> None:
    first(root)
    before = git(root, "diff")
    with pytest.raises(InputError, match=message):
        prepare(root, version, app_version=app_version, day=DAY, refresh=nothing)
    assert git(root, "diff") == before
