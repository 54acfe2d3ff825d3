"""Chart versions: SemVer's order, and a snapshot's place in it."""

from __future__ import annotations

import doctest
import importlib
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.release import versions

NUMBERS = st.integers(min_value=0, max_value=40)
PRERELEASES = st.sampled_from(["", "-rc.1", "-rc.2", "-alpha"])
VERSIONS = st.builds(lambda *parts: "{}.{}.{}{}".format(*parts), NUMBERS, NUMBERS, NUMBERS, PRERELEASES)
REVISIONS = st.text("0123456789abcdef", min_size=40, max_size=40)


@pytest.mark.parametrize("name", ["versions", "image_archive"])
def test_examples_in_docstrings(name: str) -> None:
    tested = doctest.testmod(importlib.import_module(f"harness.release.{name}"))
    assert (tested.failed, tested.attempted > 0) == (0, True)


@pytest.mark.parametrize("text", ["1.4", "v1.4.0", "1.04.0", "", "1.4.0-", "latest"])
def test_what_semver_does_not_allow_is_refused(text: str) -> None:
    assert not versions.is_valid(text)
    with pytest.raises(InputError, match=re.escape(f"VERSION: {text!r} is no version of SemVer")):
        versions.parse(text, where="VERSION")


@given(VERSIONS, VERSIONS)
def test_of_two_versions_one_is_newer_or_they_are_the_same(one: str, other: str) -> None:
    assert versions.is_newer(one, other) + versions.is_newer(other, one) == (one != other)


@given(st.lists(VERSIONS, unique=True))
def test_tags_are_sorted_and_others_passed_over(wanted: list[str]) -> None:
    found = [str(one) for one in versions.of_tags([*map(versions.tag, wanted), "nightly", "v1", "1.0.0"])]
    assert sorted(found) == sorted(wanted)
    assert all(versions.is_newer(after, before) for before, after in itertools.pairwise(found))


@given(VERSIONS, REVISIONS, st.booleans())
def test_a_snapshot_is_after_its_release_and_before_the_next(version: str, revision: str, dirty: bool) -> None:
    snapshot = versions.snapshot(version, revision, dirty=dirty)
    assert versions.is_valid(snapshot)
    major, minor, patch = map(int, version.partition("-")[0].split("."))
    following = f"{major}.{minor}.{patch + 1}" if "-" not in version else f"{major}.{minor}.{patch}"
    assert versions.is_newer(following, snapshot)
    if "-" not in version:
        assert versions.is_newer(snapshot, version)
    assert re.fullmatch(
        r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", versions.application_snapshot("0.1.0", revision, dirty=dirty)
    )
