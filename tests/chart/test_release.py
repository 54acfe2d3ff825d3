"""A release's folder: what is in it, that it is the same twice, and that it appears whole or not at all."""

from __future__ import annotations

import errno
import gzip
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.validation.json import JsonStrictValidator

from harness.chart import yaml_strict
from harness.chart.render import CHART, environment_files
from harness.chart.values import ROOT
from harness.cli import release as release_command
from harness.cluster import requirements
from harness.errors import HarnessError, InputError
from harness.release import bom, chart_package, checkout
from harness.release.build import Made, build, planned
from harness.release.plan import Plan
from harness.release.released_images import Image, of
from tests import commands
from tests.unit.release import checkouts
from tests.unit.release.scenes import PACKAGES, STATUS, archive, metadata

SECONDS = 1_767_312_000
DESCRIPTION = (CHART / "Chart.yaml").read_text()
IN_ONE_PROCESS = pytest.mark.xdist_group("a release")  # which is made once for all who read it


def unpacked(package: Path) -> dict[str, bytes]:
    with tarfile.open(package) as opened:
        return {entry.name: opened.extractfile(entry).read() for entry in opened if entry.isfile()}  # type: ignore[union-attr]


@pytest.fixture
def aged(tmp_path: Path) -> Path:
    """The chart as another clone has it: other times, other rights, other files beside."""
    copy = tmp_path / "other" / CHART.name
    shutil.copytree(CHART, copy)
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
        if path.is_file():
            path.chmod(0o600)
    (copy / "files" / "__pycache__").mkdir(exist_ok=True)
    (copy / "files" / "__pycache__" / "a.pyc").touch()
    (copy / "charts").mkdir(exist_ok=True)
    (copy / "charts" / "another-0.1.0.tgz").touch()
    (copy / "templates" / ".deployment.yaml.swp").touch()
    return copy


def packaged(chart: Path, target: Path, *, helm: Path, description: str = DESCRIPTION) -> None:
    files = checkout.files(ROOT, CHART)
    chart_package.package(chart, target, files=files, description=description, seconds=SECONDS, helm=helm)


def test_a_package_is_the_same_to_the_byte_from_every_clone(helm: Path, aged: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.tgz", tmp_path / "other.tgz"
    packaged(CHART, one, helm=helm)
    packaged(aged, other, helm=helm)
    assert one.read_bytes() == other.read_bytes()
    with tarfile.open(one) as opened:
        entries = opened.getmembers()
    assert entries[0].name == "celery-workers/Chart.yaml"
    assert {(entry.mtime, entry.mode, entry.uid, entry.uname) for entry in entries} == {(SECONDS, 0o644, 0, "")}


def test_a_package_holds_what_helm_puts_into_its_own(helm: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours.tgz"
    packaged(CHART, ours, helm=helm)
    subprocess.run([helm, "package", CHART, "--destination", tmp_path], check=True, capture_output=True, timeout=60)
    (theirs,) = tmp_path.glob("celery-workers-*.tgz")
    assert unpacked(ours) == unpacked(theirs)
    values = [word for path in environment_files("prod") for word in ("--values", str(path))]
    done = subprocess.run([helm, "template", "celery", ours, *values], capture_output=True, text=True, timeout=60)
    assert "kind: HorizontalPodAutoscaler" in done.stdout, done.stderr


def test_a_chart_that_helm_refuses_makes_no_package(helm: Path, tmp_path: Path) -> None:
    broken = DESCRIPTION.replace("name: celery-workers\n", "", 1)
    with pytest.raises(HarnessError, match="packaging the chart failed"):
        packaged(CHART, tmp_path / "a.tgz", helm=helm, description=broken)
    assert not (tmp_path / "a.tgz").exists()


@pytest.fixture(scope="module")
def plan() -> Plan:
    """A snapshot of this checkout."""
    at = checkout.commit(ROOT)
    tree = checkout.tree(ROOT, at, last_day=datetime.now(UTC).date(), stale=lambda root: ())
    return planned(ROOT, tree, at, snapshot=True)


@pytest.fixture(scope="module")
def images(plan: Plan) -> list[Image]:
    return of(plan)


@pytest.fixture(scope="module")
def made(plan: Plan, images: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A release that is only read."""
    return make(plan, tmp_path_factory.mktemp("release") / "dist", images)


def write_archive(image: Image, path: Path) -> None:
    """Write an image's archive with just what the lock says, in place of an engine."""
    needs = bom.locked(requirements.entries(image.needs))
    packages = {
        f"{PACKAGES}/{name}-{one.version}.dist-info/METADATA": metadata(name, one.version)
        for name, one in needs.items()
    }
    system = {"var/lib/dpkg/status": STATUS}
    archive(path, layers=(system, packages), labels=dict(image.labels))


def make(plan: Plan, output: Path, images: Sequence[Image], write: Any = write_archive) -> Made:
    return build(
        ROOT,
        plan,
        output,
        images=images,
        write_archive=write,
        require_unchanged=lambda: None,
        say=lambda text: None,
    )


@IN_ONE_PROCESS
def test_a_release_is_one_folder_with_sums_of_all_in_it(plan: Plan, made: Made) -> None:
    stems = [f"{name}-{plan.app_version}-linux-amd64" for name in ("examx", "examx-load")]
    assert {path.name for path in made.directory.iterdir()} == {
        f"{plan.name}.tgz", f"{plan.name}.cdx.json", "RELEASE-NOTES.md", "SHA256SUMS",
        *(f"{stem}{ending}" for stem in stems for ending in (".tar.gz", ".cdx.json")),
    }  # fmt: skip
    assert made.archives == {
        f"{stem}.tar.gz": f"docker.io/library/{name}:{plan.app_version}"
        for stem, name in zip(stems, ("examx", "examx-load"), strict=True)
    }
    subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=made.directory, check=True, capture_output=True
    )
    assert len((made.directory / "SHA256SUMS").read_text().splitlines()) == 7
    assert list(made.directory.parent.iterdir()) == [made.directory]
    assert (made.directory / "RELEASE-NOTES.md").read_text() == plan.notes


@IN_ONE_PROCESS
def test_bills_are_valid_and_name_the_files_they_are_of(made: Made) -> None:
    bills = sorted(made.directory.glob("*.cdx.json"))
    assert len(bills) == 3
    for bill in bills:
        text = bill.read_text()
        assert JsonStrictValidator(bom.SCHEMA).validate_str(text) is None
        (hashed,) = json.loads(text)["metadata"]["component"]["hashes"]
        beside = bill.name.removesuffix(".cdx.json")
        assert hashed["content"] in {made.sha256.get(f"{beside}{ending}") for ending in (".tgz", ".tar.gz")}


@IN_ONE_PROCESS
def test_the_same_commit_gives_the_same_files(plan: Plan, made: Made, tmp_path: Path) -> None:
    assert make(plan, tmp_path, of(plan)).sha256 == made.sha256


@IN_ONE_PROCESS
def test_nothing_of_the_machine_is_in_a_release(made: Made) -> None:
    telling = [str(ROOT), str(made.directory.parent), str(Path.home()), f"//{socket.gethostname()}", *_indexes()]
    for path in made.directory.iterdir():
        content = path.read_bytes()
        plain = gzip.decompress(content) if path.suffix in {".tgz", ".gz"} else content
        assert [each for each in telling if each.encode() in plain] == [], path.name


def _indexes() -> list[str]:
    """The hosts this machine's pip asks."""
    asked = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=60)
    return [
        word.split("/")[2] for word in asked.stdout.replace("'", " ").split() if word.count("/") > 2 and "://" in word
    ]


@pytest.mark.parametrize("there", [False, True])
def test_a_release_that_fails_leaves_what_was_there(
    plan: Plan, images: list[Image], tmp_path: Path, there: bool
) -> None:
    if there:
        make(plan, tmp_path, images=[])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def write_another(image: Image, path: Path) -> None:
        write_archive(replace(image, labels={}), path)

    with pytest.raises(HarnessError, match="image examx came out without "):
        make(plan, tmp_path, images, write=write_another)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_newer_build_of_the_same_version_takes_the_place_of_the_older(
    plan: Plan, images: list[Image], tmp_path: Path
) -> None:
    make(plan, tmp_path, images[:1])
    made = make(plan, tmp_path, images=[])
    assert {path.name for path in made.directory.iterdir()} == {
        f"{plan.name}.tgz", f"{plan.name}.cdx.json", "RELEASE-NOTES.md", "SHA256SUMS",
    }  # fmt: skip


def test_an_output_that_can_be_no_folder_is_refused(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^--output .*/file/dist: Not a directory; name a folder you may write to$"):
        make(plan, tmp_path / "file" / "dist", images=[])


def test_a_disk_that_is_full_is_told_and_nothing_kept(plan: Plan, images: list[Image], tmp_path: Path) -> None:
    def fill(image: Image, path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with pytest.raises(HarnessError, match=r"examx\.tar: No space left on device; nothing is kept of what was made: "):
        make(plan, tmp_path, images, write=fill)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of this checkout as it is now, with a change that is not released, all committed."""
    made = tmp_path / "clone"
    listed = checkouts.git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, made / name)
    path = made / "CHANGELOG.md"
    head, unreleased, rest = path.read_text().partition("## [Unreleased]\n")
    path.write_text(
        f"{head}{unreleased}\n### Security\n- Made for a test.\n{rest.replace('### Security', '### Fixed', 1)}"
    )
    checkouts.git(made, "init", "--quiet")
    checkouts.commit(made)
    return made


def harness(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(clone), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "harness", "release", *arguments]
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize("changes", [False, True])
def test_a_file_that_changes_while_a_release_is_made_keeps_it_away(
    changes: bool, helm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, output, program = tmp_path / "checkout", tmp_path / "checkout" / "new", tmp_path / "helm"
    checkouts.small(root)
    change = f"echo '# more' >> {root}/examx/tasks.py" if changes else ":"
    program.write_text(f'#!/bin/sh\n{change}\nexec {helm} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("HELM", str(program))
    monkeypatch.setattr(release_command, "ROOT", root)
    done = commands.harness("release", "build", "--snapshot", "--no-images", "--output", output)
    if changes:
        assert done.returncode == 2
        assert "files changed meanwhile: examx/tasks.py; nothing is kept" in done.stderr
        assert list(output.iterdir()) == []
    else:
        assert done.returncode == 0, done.stderr
        assert len(list(output.iterdir())) == 1


@pytest.mark.full
@pytest.mark.timeout(600)
def test_from_a_clone_to_a_release_by_the_commands_alone(clone: Path) -> None:
    refused = harness(clone, "build", "--no-images")
    assert refused.returncode == 1
    assert "CHANGELOG.md: [Unreleased]: changes stand there" in refused.stderr
    assert not (clone / "dist").exists()

    chart_file = clone / "charts" / "celery-workers" / "Chart.yaml"
    text = chart_file.read_text()
    chart_file.write_text(re.sub(r"^version: .*$", "version: 98.9.0", text, flags=re.MULTILINE))
    by_hand = harness(clone, "check")
    assert by_hand.returncode == 1
    assert "CHANGELOG.md: [98.9.0]: the version in Chart.yaml has no section" in by_hand.stdout
    assert "generated files: all: they cannot be made: CHANGELOG.md: nothing stands under [98.9.0]" in by_hand.stdout
    chart_file.write_text(text)

    assert harness(clone, "prepare", "1.2").returncode == 2
    prepared = harness(clone, "prepare", "99.0.0", "--app-version", "98.0.0", "--date", "2026-01-02")
    assert prepared.returncode == 0, prepared.stderr
    chart = yaml_strict.load_file(chart_file)
    assert (chart["version"], chart["appVersion"]) == ("99.0.0", "98.0.0")
    assert "helm.sh/chart: celery-workers-99.0.0" in (clone / "tests" / "golden" / "prod.yaml").read_text()

    (unfit,) = json.loads(harness(clone, "check", "--json").stdout)["findings"]
    assert (unfit["file"], unfit["key"]) == ("work tree", "files")
    revision = checkouts.commit(clone)
    assert harness(clone, "check").stdout == f"fit for a release: 99.0.0, images 98.0.0, commit {revision[:12]}\n"

    made = json.loads(harness(clone, "build", "--no-images", "--json").stdout)
    assert (made["version"], made["revision"], made["snapshot"]) == ("99.0.0", revision, False)
    assert made["directory"] == "dist/celery-workers-99.0.0"
    assert f'git tag -a v99.0.0 -m "celery-workers 99.0.0" {revision}' in made["next"]
    assert checkouts.git(clone, "tag") == ""
    notes = (clone / made["directory"] / "RELEASE-NOTES.md").read_text()
    assert "- Made for a test." in notes
    again = json.loads(harness(clone, "build", "--no-images", "--json").stdout)
    assert again["sha256"] == made["sha256"]

    snapshot = json.loads(harness(clone, "build", "--snapshot", "--no-images", "--json").stdout)
    assert snapshot["snapshot"]
    assert snapshot["version"].endswith(f"-snapshot.g{revision[:12]}")
