"""A release's image as an engine sees it: labelled, its layers those of the image that clusters run, and it works."""

from __future__ import annotations

import json
import os
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.cluster import images, requirements, setup, shell
from harness.cluster.engine import Engine
from harness.cluster.versions import ROOT, versions
from harness.release import bom, checkout, image_archive, released_images
from harness.release.build import planned
from harness.release.plan import Plan
from tests.cluster.place import Place

pytestmark = pytest.mark.full

RUN_SECONDS = 120.0


@pytest.fixture(scope="module")
def plan() -> Plan:
    """A snapshot of this checkout: its images have names of their own."""
    at = checkout.commit(ROOT)
    tree = checkout.tree(ROOT, at, last_day=datetime.now(UTC).date(), stale=lambda root: ())
    return planned(ROOT, tree, at, snapshot=True)


def layers(archive: Path) -> list[str]:
    with tarfile.open(archive) as opened:
        manifest = opened.extractfile("manifest.json")
        assert manifest is not None
        (image,) = json.load(manifest)
    return list(image["Layers"])


def labels(engine: Engine, reference: str) -> dict[str, str]:
    (found,) = json.loads(engine.run("image", "inspect", reference, doing="asking for labels"))
    return dict(found.get("Labels") or found["Config"]["Labels"])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [0, 1], ids=["application", "load generator"])
def test_a_released_image_is_the_clusters_with_labels(place: Place, plan: Plan, tmp_path: Path, number: int) -> None:
    if place.engine is None:
        pytest.skip("the engine of a cluster that is given is not ours")
    image, archive = released_images.of(plan)[number], tmp_path / "image.tar"
    way = setup.usual_plan(os.environ).way
    released_images.write(way, image, archive, say=shell.say)
    if way.kind == "packages":
        clusters = images.Builder(place.engine, versions()).archive(image.recipe)
        assert layers(archive)[: len(layers(clusters))] == layers(clusters)
        assert not any(name.startswith("org.opencontainers") for name in image_archive.read(clusters).labels)
    contents = image_archive.read(archive)
    subject = plan.subject(image.name, version=plan.app_version, description="", sha256="0" * 64)
    assert bom.of_image(subject, contents, bom.locked(requirements.entries(image.needs)))  # is as the lock says
    assert "libc6" in {package.name for package in contents.debian}
    place.engine.run("load", "--input", archive, doing="loading the archive", timeout_seconds=RUN_SECONDS)
    try:
        assert labels(place.engine, image.reference).items() >= image.labels.items()
        said = place.engine.run(
            "run", "--rm", "--network", "none", image.reference, "python", "-c", "import examx; print(examx.__name__)",
            doing="running the image", timeout_seconds=RUN_SECONDS,
        )  # fmt: skip
        assert said.split() == ["examx"]
    finally:
        images.remove(place.engine, image.reference)
