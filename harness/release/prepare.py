"""Makes a tree say a version: changelog, chart, package and what is generated from them; all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

from packaging.version import InvalidVersion, Version

from harness.chart.values import defaults
from harness.errors import InputError
from harness.files import write_atomically
from harness.release import changelog as changelogs
from harness.release import chart_yaml, checkout, project, versions
from harness.release.rules import CHART_FILE, PROJECT_FILE

Refresh = Callable[[Path], object]


def refresh(root: Path) -> None:
    """Write everything that is generated. Raises HarnessError."""
    checkout.refresh(root, doing="writing the generated files")


def prepare(
    root: Path, version: str, *, app_version: str | None = None, day: date, refresh: Refresh = refresh
) -> list[str]:
    """Move what is unreleased under a version and have chart and package say it; return the files that were changed.

    `app_version` None leaves the version of the images and of the Python package. Raises InputError where the version
    will not do or a file cannot be written, HarnessError where the generated files cannot; then the others are as they
    were before.
    """
    _require_free(root, version)
    if app_version is not None:
        _require_package_version(app_version)
    texts = _texts(root, version, app_version, day)
    before = {name: checkout.read(root / name) for name in texts}
    try:
        for name, text in texts.items():
            _write(root, name, text)
        refresh(root)
    except BaseException:
        for name, text in before.items():
            _write(root, name, text)
        raise
    return [name for name, text in texts.items() if text != before[name]]


def _write(root: Path, name: str, text: str) -> None:
    try:
        write_atomically(root / name, text)
    except OSError as error:
        raise InputError(
            f"{name}: cannot be written: {error.strerror}; see to its folder's rights or the room on the disk"
        ) from error


def _texts(root: Path, version: str, app_version: str | None, day: date) -> Mapping[str, str]:
    """Return file -> its new text."""
    chart_file = root / CHART_FILE
    app_version = app_version or checkout.project_version(root)
    changelog = changelogs.released(checkout.changelog(root), version, day)
    chart_text = chart_yaml.with_versions(checkout.read(chart_file), version=version, app_version=app_version)
    return {
        changelogs.FILE: changelog,
        PROJECT_FILE: project.with_version(checkout.read(root / PROJECT_FILE), app_version),
        CHART_FILE: chart_yaml.insert(chart_text, changelog, defaults(chart_file.parent)),
    }


def _require_free(root: Path, version: str) -> None:
    versions.parse(version, where="VERSION")
    now = str(checkout.chart(root).get("version", ""))
    if versions.is_valid(now) and versions.is_newer(now, version):
        raise InputError(f"VERSION: {version} comes before {now}, the version in {CHART_FILE}; choose a later one")
    taken = versions.of_tags(checkout.tags(root))
    if taken and not versions.is_newer(version, str(taken[-1])):
        raise InputError(f"VERSION: {version} does not come after {taken[-1]}, the newest tag; choose a later one")


def _require_package_version(app_version: str) -> None:
    try:
        form = str(Version(app_version))
    except InvalidVersion:
        form = ""
    if form != app_version or "+" in app_version:
        hint = f", as in {form.partition('+')[0]}" if form else ""
        raise InputError(f"--app-version: {app_version!r} is no version of a Python package in its usual form{hint}")
