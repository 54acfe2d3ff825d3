"""Bills of materials: valid by CycloneDX's schema, complete against the lock, and the same for the same things."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.validation.json import JsonStrictValidator

from harness.cluster import recipes, requirements
from harness.errors import HarnessError
from harness.release import bom, image_archive
from harness.release.plan import Plan, plan
from tests.unit.release.scenes import CHART_TEXT, FIT, LAYERS, LOCK, PACKAGES, VALUES, archive, metadata

PLAN: Plan = plan(FIT, chart_text=CHART_TEXT, values=VALUES, committed_seconds=1_767_312_000, snapshot=False)
SUBJECT = PLAN.subject("examx", version="0.4.0", description="An image", sha256="e" * 64)
SOURCES = {"worker": recipes.WORKER, "load": recipes.LOAD}


def of_image(path: Path, **changed: Any) -> dict[str, Any]:
    contents = image_archive.read(archive(path, **changed))
    document: dict[str, Any] = json.loads(bom.of_image(SUBJECT, contents, bom.locked(LOCK)))
    return document


def by_name(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {component["name"]: component for component in document["components"]}


def test_an_images_bill_has_what_the_uppermost_layers_have(tmp_path: Path) -> None:
    found = by_name(of_image(tmp_path / "image.tar"))
    assert set(found) == {"celery-workers", "amqp", "silent", "zope-event", "dash", "libc6"}
    assert found["zope-event"]["purl"] == "pkg:pypi/zope-event@6.2"
    assert found["zope-event"]["licenses"] == [{"license": {"acknowledgement": "declared", "id": "ZPL-2.1"}}]
    assert found["amqp"]["licenses"] == [{"license": {"acknowledgement": "declared", "name": "BSD License"}}]
    assert [one["content"] for one in found["amqp"]["hashes"]] == ["a" * 64, "b" * 64]
    assert "licenses" not in found["silent"]
    assert found["libc6"]["purl"] == (
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12&upstream=glibc%402.36-9%2Bdeb12u14"
    )


def test_a_bill_says_what_it_is_of(tmp_path: Path) -> None:
    document = of_image(tmp_path / "image.tar")
    said = document["metadata"]
    assert document["specVersion"] == "1.6"
    assert said["timestamp"] == "2026-01-02T00:00:00+00:00"
    subject = said["component"]
    assert (subject["type"], subject["name"], subject["version"]) == ("container", "examx", "0.4.0")
    assert subject["hashes"] == [{"alg": "SHA-256", "content": "e" * 64}]
    assert subject["supplier"] == {"name": "the maintainers"}
    (depends,) = [one["dependsOn"] for one in document["dependencies"] if one["ref"] == subject["bom-ref"]]
    assert sorted(depends) == sorted(component["bom-ref"] for component in document["components"])


def test_the_python_of_a_public_image_is_in_its_bill(tmp_path: Path) -> None:
    bases_own = {"usr/local/lib/python3.11/site-packages/pip-24.0.dist-info/METADATA": metadata("pip", "24.0")}
    found = by_name(of_image(tmp_path / "image.tar", layers=(*LAYERS, bases_own), python="3.11.9"))
    assert found["python"]["version"] == "3.11.9"
    assert found["pip"]["purl"] == "pkg:pypi/pip@24.0"
    assert "hashes" not in found["pip"]


@pytest.mark.parametrize("python", ["", "3.11.9"])
def test_bills_are_valid_and_the_same_for_the_same_things(tmp_path: Path, python: str) -> None:
    contents = image_archive.read(archive(tmp_path / "image.tar", python=python))
    chart = PLAN.subject("celery-workers", version="1.2.0", description="A chart", sha256="f" * 64)
    for make in (
        lambda: bom.of_image(SUBJECT, contents, bom.locked(LOCK)),
        lambda: bom.of_chart(chart, PLAN.images),
    ):
        text = make()
        assert JsonStrictValidator(bom.SCHEMA).validate_str(text) is None
        assert make() == text


@pytest.mark.parametrize("sources", SOURCES.values(), ids=SOURCES)
def test_every_package_of_the_real_lock_is_in_a_bill_and_none_else(tmp_path: Path, sources: recipes.Sources) -> None:
    needs = bom.locked(requirements.entries(sources.requirements()))
    assert set(needs) == sources.names()
    installed = {
        f"{PACKAGES}/{name}-{one.version}.dist-info/METADATA": metadata(name, one.version)
        for name, one in needs.items()
    }
    contents = image_archive.read(archive(tmp_path / "image.tar", layers=(installed,)))
    document = json.loads(bom.of_image(SUBJECT, contents, needs))
    found = [component for component in document["components"] if component.get("purl", "").startswith("pkg:pypi/")]
    assert {(one["name"], one["version"]) for one in found} == {(name, one.version) for name, one in needs.items()}
    assert len(found) == len(needs)
    assert {one["name"]: {each["content"] for each in one["hashes"]} for one in found} == {
        name: set(one.sha256) for name, one in needs.items()
    }


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({f"{PACKAGES}/extra-1.dist-info/METADATA": metadata("extra", "1")}, "extra 1 is in it and not in the lock"),
        ({f"{PACKAGES}/.wh.amqp-5.4.2.dist-info": ""}, "amqp 5.4.2 is in the lock and not in it"),
    ],
)
def test_an_image_that_is_not_what_the_lock_says_is_refused(
    tmp_path: Path, layer: dict[str, str], message: str
) -> None:
    with pytest.raises(HarnessError, match=f"^image examx is not what requirements.lock says: .*{message}"):
        of_image(tmp_path / "image.tar", layers=(*LAYERS, layer))


def test_a_charts_bill_has_its_images() -> None:
    chart = PLAN.subject("celery-workers", version="1.2.0", description="A chart", sha256="f" * 64)
    document = json.loads(bom.of_chart(chart, PLAN.images))
    assert {one["name"]: one["purl"] for one in document["components"]} == {
        "examx": "pkg:oci/examx?tag=0.4.0",
        "registry.example/pause": "pkg:oci/pause?repository_url=registry.example/pause&tag=3.10",
        "docker.io/library/rabbitmq": "pkg:oci/rabbitmq?repository_url=docker.io/library/rabbitmq&tag=4.0.5",
    }


def test_a_charts_bill_names_images_by_digest_where_the_values_do() -> None:
    digest = f"sha256:{'a' * 64}"
    values = {
        "image": {"repository": "registry.example:5000/examx", "tag": "1.0", "digest": digest},
        "headroom": {"image": {"repository": "registry.example:5000/pause", "tag": "3.10"}},
        "broker": {"embedded": {"image": {"repository": "rabbitmq", "tag": f"4.0@{digest}"}}},
    }
    made = plan(FIT, chart_text=CHART_TEXT, values=values, committed_seconds=1_767_312_000, snapshot=False)
    assert made.images[0]["image"] == f"registry.example:5000/examx@{digest}"
    chart = made.subject("celery-workers", version="1.2.0", description="A chart", sha256="f" * 64)
    text = bom.of_chart(chart, made.images)
    assert JsonStrictValidator(bom.SCHEMA).validate_str(text) is None
    assert {one["name"]: (one["version"], one["purl"]) for one in json.loads(text)["components"]} == {
        "registry.example:5000/examx": (
            digest, f"pkg:oci/examx@{digest}?repository_url=registry.example:5000/examx"
        ),
        "registry.example:5000/pause": ("3.10", "pkg:oci/pause?repository_url=registry.example:5000/pause&tag=3.10"),
        "rabbitmq": (digest, f"pkg:oci/rabbitmq@{digest}?tag=4.0"),
    }  # fmt: skip


def test_whole_directories_that_a_layer_empties_are_gone(tmp_path: Path) -> None:
    contents = image_archive.read(archive(tmp_path / "image.tar", layers=(*LAYERS, {f"{PACKAGES}/.wh..wh..opq": ""})))
    assert contents.python == ()
    assert [one.name for one in contents.debian] == ["dash", "libc6"]


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_text("hello")
    with pytest.raises(HarnessError, match=r"^image\.tar: no archive of one image"):
        image_archive.read(tmp_path / "image.tar")
    nameless = {f"{PACKAGES}/x-1.dist-info/METADATA": "Metadata-Version: 2.4\n"}
    with pytest.raises(HarnessError, match=r"^image\.tar: no archive of one image: 'name'"):
        image_archive.read(archive(tmp_path / "image.tar", layers=(nameless,)))
