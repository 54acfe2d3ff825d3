"""Labels and archives of images: what an engine is told, which here is a program that only notes it."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import release
from harness.cluster import engine as engines
from harness.cluster import images, setup, way
from harness.cluster.engine import Engine
from harness.cluster.versions import versions
from harness.errors import HarnessError, InputError
from harness.release import image_archive, released_images
from tests.unit.release.scenes import LAYERS, archive
from tests.unit.release.test_plan import planned

ENGINE = """#!/bin/sh
echo "docker $@" >> {log}
case "$1" in save) cp {archive} "$3" ;; esac
"""
REGISTRY = way.Way("registry", "forced", "docker")
PLAN = planned()


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker that notes what it is told; the archive it saves is the one beside its notes."""
    directory, log = tmp_path / "bin", tmp_path / "log"
    directory.mkdir()
    (directory / "docker").write_text(ENGINE.format(log=log, archive=tmp_path / "saved.tar"))
    (directory / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return log


def test_an_image_is_built_as_for_a_cluster_then_labelled_then_saved(engine: Path, tmp_path: Path) -> None:
    image = released_images.of(PLAN)[0]
    archive(tmp_path / "saved.tar", labels=dict(image.labels))
    released_images.write(REGISTRY, image, tmp_path / "examx.tar", say=lambda text: None)
    build, label, save, remove = map(shlex.split, engine.read_text().splitlines())
    base = images.name_by_content(image.recipe)
    assert build[:2] == ["docker", "build"]
    assert build[build.index("--tag") + 1] == base
    assert "LABEL" not in engine.read_text().upper().partition("\n")[0]  # what is built stays the same between commits
    assert label[: label.index("--label")] == [
        "docker", "build", "--file", "images/release/Containerfile", "--build-arg", f"BASE={base}",
    ]  # fmt: skip
    assert label[-3:] == ["--tag", "docker.io/library/examx:0.4.0", "images/release"]
    assert save == ["docker", "save", "--output", str(tmp_path / "examx.tar"), "docker.io/library/examx:0.4.0"]
    assert remove == ["docker", "rmi", "--force", base]
    assert image_archive.read(tmp_path / "examx.tar").labels == image.labels


@pytest.mark.parametrize("snapshot", [False, True])
def test_from_packages_the_clusters_archive_is_labelled_and_nothing_left(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: bool
) -> None:
    monkeypatch.setattr(engines, "packaged_podman", lambda say: Engine("docker"))
    image = released_images.of(PLAN)[0]
    if not snapshot:  # then it has the name that the chart asks for
        image = replace(image, reference=image.recipe.reference)
    clusters = tmp_path / "cache" / "celery-workers" / "images" / f"examx-{image.recipe.fingerprint()}.tar"
    clusters.parent.mkdir(parents=True)
    archive(clusters)
    archive(tmp_path / "saved.tar", labels=dict(image.labels))
    released_images.write(way.Way("packages", "asked for"), image, tmp_path / "examx.tar", say=lambda text: None)
    told = [shlex.split(line)[1:] for line in engine.read_text().splitlines()]
    base = images.name_by_content(image.recipe)
    assert [words[0] for words in told] == ["load", "tag", "build", "save", "rmi"]
    assert told[0] == ["load", "--input", str(clusters)]
    assert told[1] == ["tag", image.recipe.reference, base]
    names = [image.reference, base] if not snapshot else [image.reference, image.recipe.reference, base]
    assert told[-1] == ["rmi", "--force", *names]


def test_podman_is_told_the_commits_time_for_the_images() -> None:
    image = released_images.of(PLAN)[0]
    _, label, _, _ = released_images.ordinary_steps("podman", versions(), image, directory="CONTEXTS")
    assert label.command[:4] == ("podman", "build", "--timestamp", "1767312000")


def test_both_images_are_released_under_one_version_with_their_part_of_the_lock() -> None:
    found = {image.name: image for image in released_images.of(PLAN)}
    assert set(found) == {"examx", "examx-load"}
    assert {image.reference for image in found.values()} == {
        "docker.io/library/examx:0.4.0",
        "docker.io/library/examx-load:0.4.0",
    }
    assert "\nreportlab==" in found["examx"].needs
    assert "\nlocust==" in found["examx-load"].needs
    assert {image.labels["org.opencontainers.image.title"] for image in found.values()} == set(found)


def test_an_image_without_its_labels_is_refused(tmp_path: Path) -> None:
    image = released_images.of(PLAN)[0]
    labels = dict(image.labels) | {"org.opencontainers.image.revision": "of another"}
    contents = image_archive.read(archive(tmp_path / "a.tar", LAYERS, labels=labels))
    with pytest.raises(HarnessError, match=r"^image examx came out without org.opencontainers.image.revision; "):
        released_images.require_labels("examx", contents.labels, image.labels)


def test_an_engine_that_fails_says_what_it_was_asked(engine: Path, tmp_path: Path) -> None:
    image = released_images.of(PLAN)[0]
    with pytest.raises(HarnessError, match="saving image examx failed"):  # there is nothing that it could save
        released_images.write(REGISTRY, image, tmp_path / "examx.tar", say=lambda text: None)
    assert shlex.split(engine.read_text().splitlines()[-1])[1:] == [
        "rmi",
        "--force",
        images.name_by_content(image.recipe),
    ]


@pytest.mark.parametrize("fails", ["tag", "build", "save"])
def test_from_packages_nothing_is_left_when_a_step_fails(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    program = tmp_path / "bin" / "docker"
    program.write_text(f"{ENGINE.format(log=engine, archive=tmp_path)}[ $1 != rmi ] && [ $1 != {fails} ]\n")
    monkeypatch.setattr(engines, "packaged_podman", lambda say: Engine("docker"))
    image = released_images.of(PLAN)[0]
    clusters = tmp_path / "cache" / "celery-workers" / "images" / f"examx-{image.recipe.fingerprint()}.tar"
    clusters.parent.mkdir(parents=True)
    archive(clusters)
    with pytest.raises(HarnessError, match=f"docker {fails}"):  # not that it could not be removed
        released_images.write(way.Way("packages", "asked for"), image, tmp_path / "examx.tar", say=lambda text: None)
    told = shlex.split(engine.read_text().splitlines()[-1])[1:]
    names = [image.reference, image.recipe.reference, images.name_by_content(image.recipe)]
    assert told == ["rmi", "--force", *names]


def test_a_registry_without_an_engine_is_refused(tmp_path: Path) -> None:
    image = released_images.of(PLAN)[0]
    with pytest.raises(InputError, match="start docker or podman"):
        released_images.write(way.Way("registry", "forced"), image, tmp_path / "a.tar", say=lambda text: None)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setattr(setup, "choose", lambda forced: way.Way("registry", f"forced {forced}", "docker"))
    return CliRunner()


def test_a_dry_run_prints_the_ordinary_ways_commands_and_makes_nothing(
    terminal: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = terminal.invoke(release.command, ["build", "--snapshot", "--dry-run", "--way", "registry"])
    assert done.exit_code == 0, done.output
    assert "the ordinary way, images from a registry: forced registry" in done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    assert [shlex.split(line)[:2] for line in lines] == [
        ["docker", "build"],
        ["docker", "build"],
        ["docker", "save"],
        ["docker", "rmi"],
    ] * 2
    assert "--build-arg BASE=docker.io/library/python:3.11-slim-bookworm" in lines[0]
    assert "--label org.opencontainers.image.licenses=Apache-2.0" in lines[1]
    assert str(Path.home()) not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_without_images_has_no_commands(terminal: CliRunner) -> None:
    done = terminal.invoke(release.command, ["build", "--snapshot", "--dry-run", "--no-images"])
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "no image is wanted, so nothing would be built\n"
    as_json = terminal.invoke(release.command, ["build", "--snapshot", "--dry-run", "--no-images", "--json"])
    assert json.loads(as_json.stdout)["ordinary"] == []


def test_a_dry_run_as_one_document(terminal: CliRunner) -> None:
    done = terminal.invoke(release.command, ["build", "--snapshot", "--dry-run", "--json"])
    document = json.loads(done.stdout)
    assert document["way"] == "registry"
    assert [step["doing"] for step in document["ordinary"]][:3] == [
        "building image examx", "labelling image examx", "saving image examx",
    ]  # fmt: skip
