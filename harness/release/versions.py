"""Arithmetic of chart versions, which are SemVer 2.0.0. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import semver

from harness.errors import InputError

TAG_PREFIX = "v"


def parse(text: str, *, where: str) -> semver.Version:
    """Return a version. Raises InputError naming `where` it stands for what SemVer does not allow."""
    try:
        return semver.Version.parse(text)
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: {text!r} is no version of SemVer; write MAJOR.MINOR.PATCH, as in 1.4.0") from error


def is_valid(text: str) -> bool:
    """Whether SemVer allows a version."""
    return semver.Version.is_valid(text)


def tag(version: str) -> str:
    """Return the name of the git tag of a version.

    >>> tag("1.4.0")
    'v1.4.0'
    """
    return f"{TAG_PREFIX}{version}"


def of_tags(tags: Iterable[str]) -> list[semver.Version]:
    """Return the versions that tags name, the oldest first; other tags are passed over.

    >>> [str(one) for one in of_tags(["v0.10.0", "v0.9.0", "v0.10.0-rc.1", "nightly", "0.1.0"])]
    ['0.9.0', '0.10.0-rc.1', '0.10.0']
    """
    named = [one.removeprefix(TAG_PREFIX) for one in tags if one.startswith(TAG_PREFIX)]
    return sorted(semver.Version.parse(one) for one in named if is_valid(one))


def is_newer(version: str, than: str) -> bool:
    """Whether a version comes after another; what follows a `+` does not count.

    >>> is_newer("0.10.0", "0.9.9"), is_newer("1.0.0-rc.1", "1.0.0"), is_newer("1.0.0+b", "1.0.0+a")
    (True, False, False)
    """
    return semver.Version.parse(version) > semver.Version.parse(than)


def snapshot(version: str, revision: str, *, dirty: bool) -> str:
    """Return the version of a build between releases: after the one before, before the next.

    >>> snapshot("0.2.0", "0123456789abcdef", dirty=False), snapshot("0.3.0-rc.1", "0123456789abcdef", dirty=True)
    ('0.2.1-snapshot.g0123456789ab', '0.3.0-snapshot.g0123456789ab.dirty')
    """
    return f"{_after(version)}-{_mark(revision, dirty=dirty)}"


def application_snapshot(version: str, revision: str, *, dirty: bool) -> str:
    """Return the tag of an image between releases, from the version of the Python package.

    >>> application_snapshot("0.1.0", "0123456789abcdef", dirty=False)
    '0.1.0-snapshot.g0123456789ab'
    """
    return f"{version}-{_mark(revision, dirty=dirty)}"


def _after(version: str) -> semver.Version:
    last = semver.Version.parse(version)
    return last.finalize_version() if last.prerelease else last.bump_patch()


def _mark(revision: str, *, dirty: bool) -> str:
    """With a letter before the digits: a number may not begin with 0 in SemVer."""
    return f"snapshot.g{revision[:12]}{'.dirty' if dirty else ''}"
