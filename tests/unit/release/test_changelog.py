"""The changelog: what is unreleased becomes a version's, and nothing gets lost or changed on the way."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.release import changelog
from tests.unit.release.scenes import CHANGELOG

DAY = date(2026, 3, 4)
WORDS = st.text("abc `[](),.", min_size=1, max_size=30).filter(lambda text: text.strip() != "")
ENTRIES = st.lists(st.tuples(st.sampled_from(sorted(changelog.KINDS)), WORDS), min_size=1, max_size=6)


def written(entries: list[tuple[str, str]]) -> str:
    body = "\n\n".join(f"### {kind}\n- {text}" for kind, text in entries)
    return CHANGELOG.replace("### Added\n- Not yet.", body)


@given(ENTRIES)
def test_a_release_moves_entries_and_touches_nothing_else(entries: list[tuple[str, str]]) -> None:
    before = written(entries)
    after = changelog.released(before, "1.3.0", DAY)
    assert changelog.changes(after, "1.3.0") == changelog.changes(before, changelog.UNRELEASED)
    assert changelog.is_empty(changelog.section(after, changelog.UNRELEASED))
    assert after.replace("## [1.3.0] - 2026-03-04\n\n", "", 1) == before
    assert [one.version for one in changelog.sections(after)] == ["Unreleased", "1.3.0", "1.2.0", "1.1.0"]
    assert changelog.sections(after)[2:] == changelog.sections(before)[1:]


def test_sections_have_their_days_and_texts() -> None:
    found = changelog.section(CHANGELOG, "1.1.0")
    assert found == changelog.Section("1.1.0", "2026-01-01", "### Added\n- Long ago.")
    assert changelog.day_of(found) == date(2026, 1, 1)
    assert changelog.section(CHANGELOG, "9.9.9") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CHANGELOG.replace("- Not yet.", ""), r"nothing stands under \[Unreleased\]"),
        (CHANGELOG.replace("## [Unreleased]", "## Unreleased"), r"nothing stands under \[Unreleased\]"),
        (CHANGELOG.replace("### Added\n- Not yet.", "- Not yet."), "an entry stands under no heading"),
        (CHANGELOG.replace("### Added\n- Not yet.", "### New\n- Not yet."), "Artifact Hub knows no 'New'"),
        (CHANGELOG.replace("[1.2.0]", "[1.3.0]"), r"\[1\.3\.0\] has a section already"),
    ],
    ids=["empty", "no section", "no heading", "unknown heading", "there already"],
)
def test_a_changelog_that_cannot_be_released_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        changelog.released(text, "1.3.0", DAY)
