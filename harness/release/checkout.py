"""Asks a checkout, and git, what a release is judged by and named after."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from harness.chart import yaml_strict
from harness.chart.manifests import get
from harness.cluster import recipes, requirements, shell
from harness.cluster.versions import ROOT, VERSIONS_FILE
from harness.errors import HarnessError, InputError
from harness.release import changelog as changelogs
from harness.release import versions
from harness.release.rules import CHART_FILE, PROJECT_FILE, Tagged, Tree, shown

GIT_SECONDS = 30.0
REFRESH_SECONDS = 300.0
LOCK = "requirements.lock"
IMAGE_FILES = tuple(sorted({*recipes.WORKER.paths, *recipes.LOAD.paths, "images/worker"}))
"""What the images are built from, beside their part of the lock and what they start from."""
VERSIONS = VERSIONS_FILE.relative_to(ROOT).as_posix()
BASES = (("publicImages", "worker"), ("debian", "worker"))
"""In VERSIONS, what the images start from, by either way; the rest of it is a cluster's."""

Stale = Callable[[Path], Iterable[str]]


@dataclass(frozen=True)
class Commit:
    """The commit a checkout stands on, its time in seconds since 1970, and the paths that differ from it."""

    revision: str
    seconds: int
    uncommitted: tuple[str, ...]


def git(root: Path, *arguments: str, doing: str) -> str:
    """Return what git says of a checkout. Raises HarnessError."""
    return shell.run(
        ["git", "-C", root, *arguments],
        doing=doing,
        timeout_seconds=GIT_SECONDS,
        environment={"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
    )


def commit(root: Path) -> Commit:
    """Return where a checkout stands. Raises InputError for a folder that is no checkout with a commit."""
    try:
        said = git(root, "log", "--no-show-signature", "-1", "--format=%H %ct", doing="asking git for the commit")
    except HarnessError as error:
        raise InputError(
            f"{root.name}: no git checkout with a commit, and a release is named after one; clone the repository\n"
            f"{error}"
        ) from error
    revision, seconds = said.split()
    listed = git(root, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", doing="asking git")
    return Commit(revision, int(seconds), tuple(entry[3:] for entry in listed.split("\0") if entry))


def require_unchanged(root: Path, before: Commit, *, apart_from: Path) -> None:
    """Raise HarnessError where a checkout is not as it was, but for what is below a folder that is just written."""
    now, own = commit(root), apart_from.resolve()
    if now.revision != before.revision:
        raise HarnessError(
            f"the checkout went from commit {before.revision[:12]} to {now.revision[:12]} meanwhile, and files of both "
            "may be in what was made; nothing is kept of it: make it again"
        )
    differing = {
        path
        for path in set(now.uncommitted) ^ set(before.uncommitted)
        if not (root / path).resolve().is_relative_to(own)
    }
    if differing:
        raise HarnessError(
            f"files changed meanwhile: {shown(sorted(differing))}; nothing is kept of what was made: commit them, or "
            "put them away with `git stash -u`, and make it again"
        )


def files(root: Path, folder: Path) -> list[str]:
    """Return the files of a checkout's folder, from there, that git has, or would take: none that it ignores.

    A file that is gone is left out. Raises HarnessError.
    """
    listed = git(
        folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".",
        doing=f"asking git for the files of {folder.relative_to(root)}",
    )  # fmt: skip
    return sorted({name for name in listed.split("\0") if name and (folder / name).is_file()})


def tags(root: Path) -> dict[str, str]:
    """Return tag -> the commit it is on."""
    form = "%(refname:strip=2) %(objectname) %(*objectname)"
    listed = git(root, "for-each-ref", "refs/tags", f"--format={form}", doing="asking git for tags")
    rows = [line.split() for line in listed.splitlines()]
    return {row[0]: row[-1] for row in rows}


def project_version(root: Path) -> str:
    """Return the Python package's version. Raises InputError where pyproject.toml has none."""
    text = read(root / PROJECT_FILE)
    try:
        return str(tomllib.loads(text)["project"]["version"])
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise InputError(
            f'{PROJECT_FILE}: project.version: cannot be read ({error}); write version = "1.2.3"'
        ) from error


def chart(root: Path) -> dict[str, Any]:
    """Return what Chart.yaml says. Raises InputError."""
    loaded = yaml_strict.load_text(read(root / CHART_FILE), CHART_FILE)
    if not isinstance(loaded, dict):
        raise InputError(f"{CHART_FILE}: not a mapping; restore it from version control")
    return loaded


def changelog(root: Path) -> str:
    """Return the changelog's text. Raises InputError."""
    return read(root / changelogs.FILE)


def tree(root: Path, at: Commit, *, last_day: date, stale: Stale) -> Tree:
    """Return all that the rules look at. Raises InputError for files that cannot be read."""
    found = tags(root)
    differing, unknown = _stale(root, stale)
    return Tree(
        chart=chart(root),
        project_version=project_version(root),
        changelog=changelog(root),
        tags=found,
        revision=at.revision,
        uncommitted=at.uncommitted,
        stale=differing,
        last_day=last_day,
        tagged=_tagged(root, found),
        stale_unknown=unknown,
        ignored=_ignored(root),
    )


def _ignored(root: Path) -> tuple[str, ...]:
    """Return the files that git ignores and an image would have: `recipes` leaves out what Python writes."""
    listed = git(
        root, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", *IMAGE_FILES,
        doing="asking git for the files that it ignores",
    )  # fmt: skip
    names = [Path(name) for name in listed.split("\0") if name]
    return tuple(str(name) for name in names if "__pycache__" not in name.parts and name.suffix != ".pyc")


def _stale(root: Path, stale: Stale) -> tuple[tuple[str, ...], str | None]:
    """Return the generated files that differ, and why that cannot be told: rules say the rest all the same."""
    try:
        return tuple(stale(root)), None
    except HarnessError as error:
        return (), str(error).splitlines()[-1].removeprefix("golden: ")


def stale_files(root: Path) -> list[str]:
    """Return the generated files that are not what their sources give. Raises HarnessError where none can tell."""
    listed = refresh(root, "--check", doing="looking at the generated files")
    return listed.splitlines()


def refresh(root: Path, *arguments: str, doing: str) -> str:
    """Have the generated files written, or looked at; they are the tests', which this package knows nothing of."""
    command = [sys.executable, "-m", "tests.golden.refresh", *arguments]
    return shell.run(command, doing=doing, timeout_seconds=REFRESH_SECONDS, directory=root)


def _tagged(root: Path, found: Mapping[str, str]) -> Tagged | None:
    """Return what the newest tag has, None where there is none or it is from before one of the files that tell."""
    released = versions.of_tags(found)
    if not released:
        return None
    tag = versions.tag(str(released[-1]))
    try:
        text, lock, bases = (
            git(root, "show", f"{tag}:{name}", doing=f"reading {tag}") for name in (CHART_FILE, LOCK, VERSIONS)
        )
    except HarnessError:
        return None
    listed = git(root, "diff", "--name-only", "-z", tag, "--", *IMAGE_FILES, doing=f"comparing with {tag}")
    differing = [path for path in listed.split("\0") if path]
    if _needs(lock) != _needs(read(root / LOCK)):
        differing.append(LOCK)
    if _bases(bases, f"{tag}:{VERSIONS}") != _bases(read(root / VERSIONS), VERSIONS):
        differing.append(VERSIONS)
    app_version = str(yaml_strict.load_text(text, f"{tag}:{CHART_FILE}").get("appVersion", ""))
    return Tagged(tag, app_version, tuple(differing))


def _needs(lock: str) -> set[str]:
    """Return the entries of a lock that the images have; a name that it lacks is another difference."""
    names = recipes.WORKER.names() | recipes.LOAD.names()
    return {entry for name, entry in requirements.entries(lock).items() if name in names}


def _bases(text: str, where: str) -> list[Any]:
    document = yaml_strict.load_text(text, where)
    return [get(document, *keys) for keys in BASES]


def read(path: Path) -> str:
    """Return what stands in a file of a checkout. Raises InputError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name}: cannot be read: {error}; restore it from version control") from error
