"""What is put on a cluster: kind's configuration, add-ons, RabbitMQ."""

from __future__ import annotations

import base64

import kubernetes_validate
import pytest

from harness.chart import yaml_strict
from harness.cluster import addons, fixture, kindconfig, recipes
from harness.cluster.versions import versions
from harness.errors import InputError

KUBERNETES = "1.34"
FIXTURE = fixture.Fixture("ns", "rabbitmq:4", "secret")


def _addon_objects():
    images = recipes.addon_images(versions())
    return [one for folder in ("metrics-server", "keda") for one in addons.manifests(folder, images)]


def _pods():
    objects = [*_addon_objects(), *fixture.manifests(FIXTURE)]
    return [one["spec"]["template"]["spec"] for one in objects if one["kind"] in ("Deployment", "StatefulSet")]


def test_a_node_from_packages_has_its_own_network_and_image_names():
    shape = kindconfig.Shape(name="c", workers=2, shared_directory="/s", network_directory="/n")
    document = kindconfig.configuration(shape, versions())
    assert [node["role"] for node in document["nodes"]] == ["control-plane", "worker", "worker"]
    assert document["networking"]["disableDefaultCNI"] is True
    patches = {patch["kind"]: patch for patch in map(_parse, document["kubeadmConfigPatches"])}
    assert patches["ClusterConfiguration"]["imageRepository"] == "localhost/k8s"
    assert patches["ClusterConfiguration"]["etcd"]["local"]["imageTag"] == versions().etcd
    assert patches["KubeletConfiguration"] == {
        "kind": "KubeletConfiguration", "cgroupDriver": "cgroupfs", "failCgroupV1": False
    }  # fmt: skip
    assert {"hostPath": "/n", "containerPath": "/etc/celery-workers-node", "readOnly": True} in document["nodes"][0][
        "extraMounts"
    ]


def test_a_public_node_image_is_left_as_kind_has_it():
    document = kindconfig.configuration(kindconfig.Shape(shared_directory="/s"), versions())
    assert "kubeadmConfigPatches" not in document
    assert "disableDefaultCNI" not in document["networking"]


def test_nodes_read_the_ranges_kind_is_told():
    networking = kindconfig.configuration(kindconfig.Shape(), versions())["networking"]
    settings = dict(line.split("=") for line in kindconfig.network_environment(kindconfig.CLUSTER).splitlines())
    assert settings == {"POD_SUBNET": networking["podSubnet"], "SERVICE_SUBNET": networking["serviceSubnet"]}


def test_the_nodes_pause_image_is_the_one_that_is_built():
    configuration = (recipes.IMAGES / "node" / "files" / "etc" / "containerd" / "config.toml").read_text()
    assert f'sandbox_image = "{recipes.PAUSE}"' in configuration


@pytest.mark.parametrize("document", [*_addon_objects(), *fixture.manifests(FIXTURE)], ids=lambda one: f"{one['kind']}")
def test_objects_meet_kubernetes_schemas(document):
    if document["kind"] != "APIService":  # not among the schemas
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_images_are_filled_in():
    used = {container["image"] for pod in _pods() for container in pod["containers"]}
    assert used == {*recipes.addon_images(versions()).values(), "rabbitmq:4"}


@pytest.mark.parametrize("pod", _pods(), ids=lambda pod: pod["containers"][0]["name"])
def test_pods_meet_pod_security_restricted(pod):
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_nobody_is_given_the_cluster():
    for one in _addon_objects():
        if one["kind"].endswith("Binding"):
            assert one["roleRef"]["name"] not in ("cluster-admin", "admin", "edit")
        for rule in one.get("rules", ()):
            assert "*" not in rule["verbs"]
            assert "*" not in rule["apiGroups"]
            assert "*" not in rule["resources"] or rule["apiGroups"] == ["external.metrics.k8s.io"]


def test_keda_may_write_secrets_in_its_own_namespace_only():
    roles = [one for one in _addon_objects() if one["kind"] == "ClusterRole"]
    for rule in (rule for role in roles for rule in role["rules"]):
        if "secrets" in rule["resources"]:
            assert set(rule["verbs"]) == {"get", "list", "watch"}


def test_the_release_finds_rabbitmq_by_its_secret():
    secret = next(one for one in fixture.manifests(FIXTURE) if one["metadata"]["name"] == fixture.BROKER_SECRET)
    decoded = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert decoded == {
        "amqpUrl": "amqp://celery:secret@rabbitmq.ns:5672//",
        "managementUrl": "http://celery:secret@rabbitmq.ns:15672",
    }


def test_a_volume_is_made_only_where_the_nodes_share_a_directory():
    kinds = [one["kind"] for one in fixture.manifests(FIXTURE)]
    shared = fixture.Fixture("ns", "rabbitmq:4", "secret", volume_path="/var/x")
    assert "PersistentVolume" not in kinds
    volume = fixture.manifests(shared)[0]
    assert volume["metadata"]["name"] == fixture.volume_name("ns")
    assert volume["spec"]["claimRef"] == {"namespace": "ns", "name": "rabbitmq"}


def _parse(text):
    return yaml_strict.load_all_text(text, "patch")[0]


def test_another_cluster_has_a_name_and_pods_of_its_own() -> None:
    name = kindconfig.cluster_name({kindconfig.NAME_VARIABLE: "another"})
    assert name == "another"
    assert kindconfig.cluster_name({}) == kindconfig.CLUSTER
    assert kindconfig.pod_subnet(name) != kindconfig.pod_subnet(kindconfig.CLUSTER)


@pytest.mark.parametrize("name", ["Upper", "-dash", "a b", "x" * 41, "../up"])
def test_a_name_no_container_can_have_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=kindconfig.NAME_VARIABLE):
        kindconfig.cluster_name({kindconfig.NAME_VARIABLE: name})
