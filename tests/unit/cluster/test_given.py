"""The cluster KUBECONFIG names: what the user says of it, and that none is made in its place."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import kubernetes_validate
import pytest

from harness.cluster import fixture, given, outside, programs, setup
from harness.cluster.capacity import demands
from harness.cluster.versions import versions
from harness.errors import InputError
from harness.spike import cluster_site, sites
from harness.spike.prepared import Request, prepare
from harness.spike.progress import SilentProgress
from tests.cluster import shared_volumes

CLASS = "shared"
DEFAULT = "docker.io/library/examx:0.1.0"
RABBITMQ = fixture.Fixture("ns", "rabbitmq:4", "secret", storage_class=CLASS)
OUTSIDE = outside.Outside("ns", "examx:1", storage_class=CLASS)
VOLUMES = shared_volumes.manifests(2)
OBJECTS = [*fixture.manifests(RABBITMQ), *outside.manifests(OUTSIDE)]
NODE = {
    "metadata": {"name": "theirs"},
    "spec": {},
    "status": {"allocatable": {"cpu": "64", "memory": "256Gi"}, "nodeInfo": {"kubeletVersion": "v1.31.4"}},
}
# Answers like kubectl, and notes what it was asked.
KUBECTL = """#!/bin/sh
echo "$@" >> "$0.asked"
case "$*" in
*"get nodes"*) echo '{"items": [%s]}' ;;
*"get pods"*) echo '{"items": []}' ;;
*) echo "not to be asked: $*" >&2; exit 1 ;;
esac
"""


@pytest.mark.parametrize("document", [*OBJECTS, *VOLUMES], ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_objects_without_a_shared_directory_meet_kubernetes_schemas(document):
    kubernetes_validate.validate(document, versions().kubernetes.rpartition(".")[0], strict=True)


def test_volumes_come_from_the_named_storage_class_and_none_is_made():
    assert "PersistentVolume" not in {one["kind"] for one in OBJECTS}
    claims = {one["metadata"]["name"]: one["spec"] for one in OBJECTS if one["kind"] == "PersistentVolumeClaim"}
    assert claims.keys() == {fixture.NAME, outside.CLAIM}
    assert {(claim["storageClassName"], "volumeName" in claim) for claim in claims.values()} == {(CLASS, False)}
    assert claims[outside.CLAIM]["accessModes"] == ["ReadWriteMany"]


def test_without_a_name_the_clusters_default_class_is_asked():
    documents = outside.manifests(outside.Outside("ns", "examx:1"))
    (claim,) = (one for one in documents if one["kind"] == "PersistentVolumeClaim")
    assert "storageClassName" not in claim["spec"]


def test_a_shared_directory_is_a_volume_of_its_own():
    volume, *rest = outside.manifests(outside.Outside("ns", "examx:1", volume_path="/var/x"))
    assert volume["spec"]["hostPath"]["path"] == "/var/x"
    (claim,) = (one for one in rest if one["kind"] == "PersistentVolumeClaim")
    assert (claim["spec"]["storageClassName"], claim["spec"]["volumeName"]) == ("", volume["metadata"]["name"])


def test_what_the_environment_says():
    image = "registry.example:5000/team/examx:2"
    said = given.read({given.IMAGE_VARIABLE: image, given.STORAGE_CLASS_VARIABLE: CLASS}, default_image=DEFAULT)
    assert (said.image, said.storage_class) == (image, CLASS)
    assert said.load_image == "registry.example:5000/team/examx-load:2"
    assert said.image_values == {"image": {"repository": "registry.example:5000/team/examx", "tag": "2"}}
    other = given.read({given.IMAGE_VARIABLE: image, given.LOAD_IMAGE_VARIABLE: "r/l:1"}, default_image=DEFAULT)
    assert other.load_image == "r/l:1"


def test_an_environment_that_says_nothing_leaves_the_charts_image():
    said = given.read({given.STORAGE_CLASS_VARIABLE: ""}, default_image=DEFAULT)
    assert (said.image, said.load_image) == (DEFAULT, given.load_of(DEFAULT))
    assert (said.storage_class, said.image_values) == (None, {})


@pytest.mark.parametrize("variable", [given.IMAGE_VARIABLE, given.LOAD_IMAGE_VARIABLE])
@pytest.mark.parametrize("image", ["examx", "registry.example:5000/examx", ":1", "examx@sha256:00"])
def test_an_image_without_a_tag_is_refused(variable, image):
    with pytest.raises(InputError, match=f"{variable} is .*repository and tag"):
        given.read({variable: image}, default_image=DEFAULT)


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cluster in KUBECONFIG, of which one node is known; making another one fails."""

    def made(*_: object, **__: object) -> None:
        raise AssertionError("a cluster was made")

    program = tmp_path / "kubectl"
    program.write_text(KUBECTL % json.dumps(NODE))
    program.chmod(0o755)
    monkeypatch.setattr(programs, "find_kubectl", lambda: program)
    monkeypatch.setattr(setup, "up", made)
    monkeypatch.setattr(setup, "choose", made)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv(given.STORAGE_CLASS_VARIABLE, CLASS)
    monkeypatch.setenv(given.IMAGE_VARIABLE, "registry.example/examx:2")
    return program


def test_a_run_on_the_given_cluster_makes_none_and_names_the_users_image(theirs: Path, tmp_path: Path):
    site = sites.find("cluster", broker_port=None)
    request = Request(scenario="email-campaign", environment="prod,keda", reports=tmp_path, runtime="cluster")
    prepared = prepare(request, values=site.values(request), cores=2)
    workers = [one for one in prepared.manifests if one["kind"] == "Deployment"]
    images = {one["spec"]["template"]["spec"]["containers"][0]["image"] for one in workers}
    assert images == {"registry.example/examx:2"}
    site.check(prepared, SilentProgress())
    assert site.facts()["kubernetes"] == "1.31.4"
    asked = (theirs.parent / "kubectl.asked").read_text().splitlines()
    assert asked
    assert all(f"--kubeconfig {tmp_path / 'kubeconfig'} get " in line for line in asked)


def test_what_runs_beside_the_release_is_counted_too(theirs: Path, tmp_path: Path):
    site = sites.find("cluster", broker_port=None)
    request = Request(scenario="email-campaign", environment="prod,keda", reports=tmp_path, runtime="cluster")
    prepared = prepare(request, values=site.values(request), cores=2)
    release = sum((one.total.cpu for one in demands(prepared.manifests)), Fraction(0))
    # RabbitMQ, the stand-ins and Locust together ask for more than the tenth of a core that is left.
    allocatable = {"cpu": f"{int(release * 1000) + 100}m", "memory": "256Gi"}
    theirs.write_text(KUBECTL % json.dumps({**NODE, "status": {**NODE["status"], "allocatable": allocatable}}))
    with pytest.raises(InputError, match=r"pod 1 of 1 of .* fits on no node"):
        site.check(prepared, SilentProgress())


def test_without_storage_that_nodes_share_a_run_is_refused(theirs: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(given.STORAGE_CLASS_VARIABLE)
    with pytest.raises(InputError, match=given.STORAGE_CLASS_VARIABLE):
        cluster_site.on_given()
    assert not (theirs.parent / "kubectl.asked").exists()
