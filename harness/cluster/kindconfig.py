"""kind's configuration, and what a node from packages is told about its networks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.cluster.versions import Versions

CLUSTER = "celery-workers"
POD_SUBNET = "10.244.0.0/16"
SERVICE_SUBNET = "10.96.0.0/16"
WORKERS = 2
# Where a node finds what the harness mounts into it.
NETWORK_DIRECTORY = "/etc/celery-workers-node"
SHARED_DIRECTORY = "/var/celery-workers"
KUBERNETES_REPOSITORY = "localhost/k8s"


@dataclass(frozen=True)
class Shape:
    """What a cluster is to look like. `network_directory` is given for nodes from packages only."""

    name: str = CLUSTER
    workers: int = WORKERS
    shared_directory: str = ""
    network_directory: str = ""


def configuration(shape: Shape, versions: Versions) -> dict[str, Any]:
    """Return the document `kind create cluster --config` takes."""
    packaged = bool(shape.network_directory)
    node: dict[str, Any] = {"extraMounts": _mounts(shape)}
    document: dict[str, Any] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": shape.name,
        "networking": {"podSubnet": POD_SUBNET, "serviceSubnet": SERVICE_SUBNET},
        "nodes": [{"role": role, **node} for role in ["control-plane", *["worker"] * shape.workers]],
    }
    if packaged:
        document["networking"]["disableDefaultCNI"] = True
        document["kubeadmConfigPatches"] = _patches(versions)
    return document


def network_environment() -> str:
    """Return the settings a node from packages reads before it starts anything."""
    return f"POD_SUBNET={POD_SUBNET}\nSERVICE_SUBNET={SERVICE_SUBNET}\n"


def _mounts(shape: Shape) -> list[Mapping[str, Any]]:
    mounts: list[Mapping[str, Any]] = [{"hostPath": shape.shared_directory, "containerPath": SHARED_DIRECTORY}]
    if shape.network_directory:
        mounts.append({"hostPath": shape.network_directory, "containerPath": NETWORK_DIRECTORY, "readOnly": True})
    return mounts


def _patches(versions: Versions) -> list[str]:
    return [
        "kind: ClusterConfiguration\n"
        f"imageRepository: {KUBERNETES_REPOSITORY}\n"
        f"etcd: {{local: {{imageTag: {versions.etcd}}}}}\n"
        f"dns: {{imageTag: v{versions.coredns}}}\n",
        # cgroup v1 is out of support, not out of order; a machine with cgroup v2 does not look at this.
        "kind: KubeletConfiguration\ncgroupDriver: cgroupfs\nfailCgroupV1: false\n",
    ]
