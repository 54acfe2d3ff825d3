"""What git and the files of a checkout say, by real git."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from harness.errors import HarnessError, InputError
from harness.release import checkout
from harness.release.rules import CHART_FILE, PROJECT_FILE, Tagged, Tree
from tests.unit.release.checkouts import commit, git, small


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "checkout"
    made.mkdir()
    return small(made)


def tree(root: Path) -> Tree:
    return checkout.tree(root, checkout.commit(root), last_day=date(2026, 3, 4), stale=lambda root: ("a.md",))


def test_a_commit_has_its_time_and_what_differs_from_it(root: Path) -> None:
    found = checkout.commit(root)
    assert (found.revision, found.seconds) == (git(root, "rev-parse", "HEAD").strip(), 1_767_312_000)
    assert found.uncommitted == ()
    (root / "new folder").mkdir()
    (root / "new folder" / "a ü.md").touch()
    (root / "CHANGELOG.md").unlink()
    assert sorted(checkout.commit(root).uncommitted) == ["CHANGELOG.md", "new folder/a ü.md"]


def test_what_changes_between_two_looks_is_told(root: Path) -> None:
    dist = root / "dist"
    before = checkout.commit(root)
    dist.mkdir()
    (dist / "made").touch()
    checkout.require_unchanged(root, before, apart_from=dist)
    for name in "abcdefg":
        (root / name).touch()
    with pytest.raises(HarnessError, match=r"^files changed meanwhile: a, b, c, d, e and 2 more; nothing is kept"):
        checkout.require_unchanged(root, before, apart_from=dist)
    commit(root)
    with pytest.raises(HarnessError, match=rf"^the checkout went from commit {before.revision[:12]} to "):
        checkout.require_unchanged(root, before, apart_from=dist)


def test_a_folders_files_are_those_that_git_has_or_would_take(root: Path) -> None:
    chart = root / "charts" / "celery-workers"
    (root / ".gitignore").write_text("*.tgz\n")
    (chart / "charts").mkdir()
    (chart / "charts" / "another-0.1.0.tgz").touch()
    (chart / "new ü.yaml").touch()
    assert checkout.files(root, chart) == ["Chart.yaml", "new ü.yaml", "values.yaml"]
    (chart / "values.yaml").unlink()
    assert checkout.files(root, chart) == ["Chart.yaml", "new ü.yaml"]


def test_what_git_ignores_among_the_images_files_is_found(root: Path) -> None:
    (root / ".gitignore").write_text("*.swp\n__pycache__/\n")
    for name in ("examx/.tasks.py.swp", "examx/__pycache__/tasks.pyc", "elsewhere/a.swp"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    commit(root)
    assert tree(root).uncommitted == ()
    assert tree(root).ignored == ("examx/.tasks.py.swp",)


def test_tags_are_those_of_commits_signed_or_not(root: Path) -> None:
    first = checkout.commit(root).revision
    git(root, "tag", "v0.1.0")
    git(root, "tag", "--annotate", "v0.2.0", "--message", "a release")
    (root / "examx" / "tasks.py").write_text("# others\n")
    second = commit(root)
    git(root, "tag", "nightly")
    assert checkout.tags(root) == {"v0.1.0": first, "v0.2.0": first, "nightly": second}


def test_what_the_images_are_made_of_is_compared_with_the_newest_tag(root: Path) -> None:
    assert tree(root).tagged is None
    git(root, "tag", "v0.2.0")
    assert tree(root).tagged == Tagged("v0.2.0", "0.1.0", ())
    lock = root / "requirements.lock"
    lock.write_text(re.sub(r"^ruff==.*$", "ruff==9.9.9 \\\\", lock.read_text(), flags=re.MULTILINE))
    assert tree(root).tagged == Tagged("v0.2.0", "0.1.0", ())  # no image has ruff
    lock.write_text(re.sub(r"^celery==.*$", "celery==9.9.9 \\\\", lock.read_text(), flags=re.MULTILINE))
    (root / "examx" / "tasks.py").write_text("# others\n")
    assert tree(root).tagged == Tagged("v0.2.0", "0.1.0", ("examx/tasks.py", "requirements.lock"))
    versions = root / "images" / "versions.yaml"
    versions.write_text(re.sub(r"^keda: .*$", "keda: 99.0.0", versions.read_text(), flags=re.MULTILINE))
    assert tree(root).tagged == Tagged("v0.2.0", "0.1.0", ("examx/tasks.py", "requirements.lock"))  # no image has it
    versions.write_text(versions.read_text().replace("worker: bookworm", "worker: trixie"))
    assert tree(root).tagged == Tagged(
        "v0.2.0", "0.1.0", ("examx/tasks.py", "requirements.lock", "images/versions.yaml")
    )


def test_a_tag_from_before_the_chart_is_not_compared_with(root: Path) -> None:
    git(root, "rm", "--quiet", "--cached", CHART_FILE)
    git(root, "commit", "--quiet", "--message", "Without a chart")
    git(root, "tag", "v0.2.0")
    assert tree(root).tagged is None


def test_a_tree_is_what_stands_in_the_files(root: Path) -> None:
    found = tree(root)
    assert (found.version, found.app_version, found.project_version) == ("0.2.0", "0.1.0", "0.1.0")
    assert found.changelog == (root / "CHANGELOG.md").read_text()
    assert found.stale == ("a.md",)


def test_where_generated_files_cannot_be_made_the_rest_is_told(root: Path) -> None:
    def fail(root: Path) -> list[str]:
        raise HarnessError("looking at them failed: `python` ended with 1:\ngolden: CHANGELOG.md: nothing stands there")

    found = checkout.tree(root, checkout.commit(root), last_day=date(2026, 3, 4), stale=fail)
    assert (found.stale, found.stale_unknown) == ((), "CHANGELOG.md: nothing stands there")


def gone(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def written(name: str, text: str) -> Callable[[Path], None]:
    return lambda root: (root / name).write_text(text) and None


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (gone("CHANGELOG.md"), "CHANGELOG.md: cannot be read"),
        (gone(CHART_FILE), "Chart.yaml: cannot be read"),
        (written(PROJECT_FILE, "[project]\n"), "pyproject.toml: project.version: cannot be read"),
        (written(PROJECT_FILE, "project\n"), "pyproject.toml: project.version: cannot be read"),
        (written(CHART_FILE, "- a\n"), "charts/celery-workers/Chart.yaml.*a mapping"),
    ],
)
def test_files_that_cannot_be_read_are_named(root: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(root)
    with pytest.raises(InputError, match=message):
        tree(root)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no git checkout with a commit"):
        checkout.commit(tmp_path)
