"""Whether a tree is fit for a release: one rule a function, each says everything it finds. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from harness.errors import InputError
from harness.release import changelog as changelogs
from harness.release import labels, versions

CHART_FILE = "charts/celery-workers/Chart.yaml"
PROJECT_FILE = "pyproject.toml"
SHOWN_PATHS = 5
# Of an image's name: what a registry takes behind the colon. A package's local version has a + in it.
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Finding:
    """Something that stands against a release: where, what, and what to do."""

    file: str
    key: str
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.problem}; {self.fix}"


@dataclass(frozen=True)
class Tagged:
    """What the newest tag has: the version of its images, and the images' files that differ in the tree."""

    version: str
    app_version: str
    differing: tuple[str, ...]


@dataclass(frozen=True)
class Tree:
    """What is known of a checkout.

    `tags` maps a tag to its commit; `last_day` is the last one that is not to come. `stale` are the generated files
    that are not what their sources give, `stale_unknown` says why that could not be told. `ignored` lie where images
    are built from, and git does not look at them.
    """

    chart: Mapping[str, Any]
    project_version: str
    changelog: str
    tags: Mapping[str, str]
    revision: str
    uncommitted: tuple[str, ...]
    stale: tuple[str, ...]
    last_day: date
    tagged: Tagged | None = None
    stale_unknown: str | None = None
    ignored: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The chart's version, as it stands there."""
        return str(self.chart.get("version", ""))

    @property
    def app_version(self) -> str:
        """The version of the application's image, as it stands there."""
        return str(self.chart.get("appVersion", ""))

    @property
    def is_tagged_here(self) -> bool:
        """Whether the version's tag is on this commit: the release is made once more."""
        return self.tags.get(versions.tag(self.version)) == self.revision


Rule = Callable[[Tree], Iterator[Finding]]


def findings(tree: Tree) -> tuple[Finding, ...]:
    """Return all that stands against a release of the tree, nothing where it is fit for one."""
    return tuple(finding for rule in RULES for finding in rule(tree))


def valid_version(tree: Tree) -> Iterator[Finding]:
    """The chart's version is one of SemVer."""
    if not versions.is_valid(tree.version):
        problem = f"{tree.version!r} is no version of SemVer"
        yield Finding(CHART_FILE, "version", problem, "write MAJOR.MINOR.PATCH, as in 1.4.0")


def new_version(tree: Tree) -> Iterator[Finding]:
    """The version is not taken, and comes after all that are; a release may be made again where its tag is."""
    if not versions.is_valid(tree.version) or tree.is_tagged_here:
        return
    tag, released = versions.tag(tree.version), versions.of_tags(tree.tags)
    fix = "choose a later one with `harness release prepare VERSION`"
    if tag in tree.tags:
        yield Finding(CHART_FILE, "version", f"{tag} is the tag of commit {tree.tags[tag][:12]} already", fix)
    elif released and not versions.is_newer(tree.version, str(released[-1])):
        problem = f"{tree.version} does not come after {released[-1]}, the newest tag"
        yield Finding(CHART_FILE, "version", problem, fix)


def one_application_version(tree: Tree) -> Iterator[Finding]:
    """The image bears the version of the Python package that is in it, and a registry takes it for a tag."""
    if tree.app_version != tree.project_version:
        problem = f"{tree.app_version!r} is not {tree.project_version!r}, the version in {PROJECT_FILE}"
        yield Finding(
            CHART_FILE, "appVersion", problem, "set both with `harness release prepare VERSION --app-version VERSION`"
        )
    elif not _TAG.fullmatch(tree.app_version):
        problem = f"{tree.app_version!r} cannot be an image's tag"
        yield Finding(CHART_FILE, "appVersion", problem, "use letters, digits, dots and hyphens")


def one_content_a_version(tree: Tree) -> Iterator[Finding]:
    """What is in the images changed: they are to bear another version than the last released ones."""
    if tree.tagged is None or tree.is_tagged_here or not tree.tagged.differing:
        return
    if tree.tagged.app_version == tree.app_version:
        problem = f"{shown(tree.tagged.differing)} changed since {tree.tagged.version}, whose images have this version"
        yield Finding(
            CHART_FILE, "appVersion", problem, "raise it with `harness release prepare VERSION --app-version VERSION`"
        )


def dated_section(tree: Tree) -> Iterator[Finding]:
    """The changelog has the version on top, with a day that has come."""
    found = changelogs.section(tree.changelog, tree.version)
    key = f"[{tree.version}]"
    if found is None:
        fix = f"run `harness release prepare {tree.version or 'VERSION'}`, or write one with what changed"
        yield Finding(changelogs.FILE, key, "the version in Chart.yaml has no section", fix)
        return
    day = changelogs.day_of(found)
    if day is None:
        problem = f"{found.date!r} is no day" if found.date else "no day stands behind it"
        yield Finding(changelogs.FILE, key, problem, f"write ## {key} - YYYY-MM-DD")
    elif day > tree.last_day:
        yield Finding(changelogs.FILE, key, f"{found.date} is to come", "write the day of the release")
    numbered = [one.version for one in changelogs.sections(tree.changelog) if one.version != changelogs.UNRELEASED]
    if numbered and numbered[0] != tree.version:
        problem = f"it stands below [{numbered[0]}]"
        yield Finding(changelogs.FILE, key, problem, "put the newest first, or correct the version in Chart.yaml")


def told_changes(tree: Tree) -> Iterator[Finding]:
    """The section says what changed, under headings that are known."""
    if changelogs.section(tree.changelog, tree.version) is None:
        return
    try:
        changelogs.changes(tree.changelog, tree.version)
    except InputError as error:
        yield Finding(
            changelogs.FILE, f"[{tree.version}]", str(error).removeprefix(f"{changelogs.FILE}: "), "correct it"
        )


def nothing_unreleased(tree: Tree) -> Iterator[Finding]:
    """The release has no changes that its section does not tell."""
    if not changelogs.is_empty(changelogs.section(tree.changelog, changelogs.UNRELEASED)):
        problem = f"changes stand there that {tree.version} would bring without telling"
        fix = "run `harness release prepare VERSION`, which moves them under a version"
        yield Finding(changelogs.FILE, f"[{changelogs.UNRELEASED}]", problem, fix)


def described(tree: Tree) -> Iterator[Finding]:
    """Chart.yaml says what the images are labelled with."""
    for key in labels.missing(tree.chart):
        yield Finding(CHART_FILE, key, "nothing stands there, and images are labelled with it", "write it")


def generated_files(tree: Tree) -> Iterator[Finding]:
    """What is written from other files was written since they changed."""
    if tree.stale_unknown is not None:
        yield Finding("generated files", "all", f"they cannot be made: {tree.stale_unknown}", "mend that first")
    for path in tree.stale:
        yield Finding(path, "the whole file", "it is not what its sources give", "run `make golden` and commit it")


def clean(tree: Tree) -> Iterator[Finding]:
    """A release is a commit: what is in no commit is in no release."""
    if tree.uncommitted:
        problem = f"{len(tree.uncommitted)} not committed: {shown(tree.uncommitted)}"
        yield Finding("work tree", "files", problem, "commit them, or put them away with `git stash -u`")
    if tree.ignored:
        problem = f"{len(tree.ignored)} that git ignores would be in an image: {shown(tree.ignored)}"
        yield Finding("work tree", "files", problem, "remove them")


def shown(paths: Sequence[str]) -> str:
    """Return paths in a line, the first of many."""
    left = len(paths) - SHOWN_PATHS
    return ", ".join(paths[:SHOWN_PATHS]) + (f" and {left} more" if left > 0 else "")


RULES: tuple[Rule, ...] = (
    valid_version, new_version, one_application_version, one_content_a_version, dated_section, told_changes,
    nothing_unreleased, described, generated_files, clean,
)  # fmt: skip
"""In the order a maintainer would mend them."""
