"""A fit tree passes; each rule refuses a tree that the others let pass, in one line: where, what, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness.release import rules
from harness.release.rules import Tagged, Tree
from tests.unit.release.scenes import CHANGELOG, CHART, FIT, REVISION

OTHER = "e" * 40
TOLD = FIT.changelog


def chart(**changed: Any) -> Tree:
    return replace(FIT, chart=CHART | changed)


def annotated(**changed: Any) -> Mapping[str, Any]:
    return {"annotations": CHART["annotations"] | {f"artifacthub.io/{name}": value for name, value in changed.items()}}


REFUSED: Mapping[str, tuple[Tree, str, str]] = {
    "not SemVer": (
        replace(chart(version="1.2"), changelog=TOLD.replace("[1.2.0]", "[1.2]")),
        "charts/celery-workers/Chart.yaml: version: '1.2' is no version of SemVer; ",
        "valid_version",
    ),
    "tagged elsewhere": (
        replace(FIT, tags={"v1.2.0": OTHER}),
        f"charts/celery-workers/Chart.yaml: version: v1.2.0 is the tag of commit {OTHER[:12]} already; ",
        "new_version",
    ),
    "not after the newest tag": (
        replace(FIT, tags={"v1.1.0": OTHER, "v1.10.0": OTHER}),
        "charts/celery-workers/Chart.yaml: version: 1.2.0 does not come after 1.10.0, the newest tag; ",
        "new_version",
    ),
    "another version of the package": (
        replace(FIT, project_version="0.5.0"),
        "charts/celery-workers/Chart.yaml: appVersion: '0.4.0' is not '0.5.0', the version in pyproject.toml; ",
        "one_application_version",
    ),
    "no image's tag": (
        replace(chart(appVersion="0.4.0+ours"), project_version="0.4.0+ours"),
        "charts/celery-workers/Chart.yaml: appVersion: '0.4.0+ours' cannot be an image's tag; ",
        "one_application_version",
    ),
    "other content under one version": (
        replace(FIT, tagged=Tagged("v1.1.0", "0.4.0", ("examx/a.py", "requirements.lock"))),
        "charts/celery-workers/Chart.yaml: appVersion: examx/a.py, requirements.lock changed since v1.1.0, ",
        "one_content_a_version",
    ),
    "no section": (
        replace(FIT, changelog=TOLD.replace("[1.2.0]", "[1.1.5]")),
        "CHANGELOG.md: [1.2.0]: the version in Chart.yaml has no section; run `harness release prepare 1.2.0`",
        "dated_section",
    ),
    "no day": (
        replace(FIT, changelog=TOLD.replace(" - 2026-01-02", "")),
        "CHANGELOG.md: [1.2.0]: no day stands behind it; write ## [1.2.0] - YYYY-MM-DD",
        "dated_section",
    ),
    "a day no calendar has": (
        replace(FIT, changelog=TOLD.replace("2026-01-02", "2026-02-30")),
        "CHANGELOG.md: [1.2.0]: '2026-02-30' is no day; ",
        "dated_section",
    ),
    "a day to come": (
        replace(FIT, changelog=TOLD.replace("2026-01-02", "2026-01-04")),
        "CHANGELOG.md: [1.2.0]: 2026-01-04 is to come; ",
        "dated_section",
    ),
    "not on top": (
        replace(FIT, changelog=TOLD.replace("## [1.2.0]", "## [1.3.0] - 2026-01-02\n\n- More.\n\n## [1.2.0]")),
        "CHANGELOG.md: [1.2.0]: it stands below [1.3.0]; ",
        "dated_section",
    ),
    "an empty section": (
        replace(FIT, changelog=TOLD.replace("- One thing,\n  in two lines.", "").replace("- A third.", "")),
        "CHANGELOG.md: [1.2.0]: nothing stands under [1.2.0]; write what changed; ",
        "told_changes",
    ),
    "an unknown heading": (
        replace(FIT, changelog=TOLD.replace("### Fixed", "### Mended")),
        "CHANGELOG.md: [1.2.0]: Artifact Hub knows no 'Mended'; ",
        "told_changes",
    ),
    "changes that are not told": (
        replace(FIT, changelog=CHANGELOG),
        "CHANGELOG.md: [Unreleased]: changes stand there that 1.2.0 would bring without telling; ",
        "nothing_unreleased",
    ),
    "no source": (
        chart(sources=[]),
        "charts/celery-workers/Chart.yaml: sources: nothing stands there, ",
        "described",
    ),
    "no license": (
        chart(**annotated(license=None)),
        "charts/celery-workers/Chart.yaml: annotations[artifacthub.io/license]: nothing stands there, ",
        "described",
    ),
    "no documentation": (
        chart(**annotated(links="- {name: changelog, url: https://project.example}\n")),
        "charts/celery-workers/Chart.yaml: annotations[artifacthub.io/links], the one called documentation: nothing ",
        "described",
    ),
    "a generated file of before": (
        replace(FIT, stale=("tests/golden/prod.yaml",)),
        "tests/golden/prod.yaml: the whole file: it is not what its sources give; run `make golden` and commit it",
        "generated_files",
    ),
    "generated files that cannot be made": (
        replace(FIT, stale_unknown="helm is not there"),
        "generated files: all: they cannot be made: helm is not there; mend that first",
        "generated_files",
    ),
    "ignored files in an image": (
        replace(FIT, ignored=("examx/.tasks.py.swp",)),
        "work tree: files: 1 that git ignores would be in an image: examx/.tasks.py.swp; remove them",
        "clean",
    ),
    "not committed": (
        replace(FIT, uncommitted=tuple(f"{name}.md" for name in "abcdefg")),
        "work tree: files: 7 not committed: a.md, b.md, c.md, d.md, e.md and 2 more; commit them, ",
        "clean",
    ),
}  # fmt: skip


def test_a_fit_tree_has_nothing_against_it() -> None:
    assert rules.findings(FIT) == ()


@pytest.mark.parametrize("case", REFUSED)
def test_each_rule_says_where_what_and_what_to_do(case: str) -> None:
    tree, line, rule = REFUSED[case]
    (found,) = rules.findings(tree)
    assert str(found).startswith(line)
    assert "\n" not in str(found)
    assert found.fix != ""
    assert list(getattr(rules, rule)(tree)) == [found]


def test_every_rule_has_a_tree_that_it_refuses() -> None:
    assert {rule.__name__ for rule in rules.RULES} == {rule for _, _, rule in REFUSED.values()}


def test_all_that_is_wrong_is_said_at_once() -> None:
    tree = replace(FIT, changelog=CHANGELOG, project_version="0.5.0", uncommitted=("a.md",), stale=("b.md",))
    assert len(rules.findings(tree)) == 4


def test_a_release_may_be_made_again_where_its_tag_is() -> None:
    changed = Tagged("v1.3.0", "0.4.0", ("examx/a.py",))
    tree = replace(FIT, tags={"v1.2.0": REVISION, "v1.3.0": OTHER}, tagged=changed)
    assert rules.findings(tree) == ()


def test_images_of_other_content_may_have_another_version() -> None:
    assert rules.findings(replace(FIT, tagged=Tagged("v1.1.0", "0.3.0", ("examx/a.py",)))) == ()
