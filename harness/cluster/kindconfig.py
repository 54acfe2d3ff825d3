"""kind's configuration, and what a node from packages is told about its networks. Pure."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.cluster.versions import Versions
from harness.errors import InputError

CLUSTER = "celery-workers"
NAME_VARIABLE = "CELERY_WORKERS_CLUSTER"
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


def cluster_name(environment: Mapping[str, str]) -> str:
    """Return the name of the kind cluster to work on: another one where the environment says so.

    Raises InputError for a name that containers and hosts cannot have.
    """
    name = environment.get(NAME_VARIABLE) or CLUSTER
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", name):
        raise InputError(f"{NAME_VARIABLE} is {name!r}: lower case letters, digits and dashes, at most 40, are a name")
    return name


def pod_subnet(name: str) -> str:
    """Return a cluster's pod addresses: nodes answer for their pods on a network that all kind clusters share.

    >>> pod_subnet("celery-workers"), pod_subnet("another")
    ('10.244.0.0/16', '10.184.0.0/16')
    """
    return POD_SUBNET if name == CLUSTER else f"10.{128 + zlib.crc32(name.encode()) % 100}.0.0/16"


def configuration(shape: Shape, versions: Versions) -> dict[str, Any]:
    """Return the document `kind create cluster --config` takes."""
    packaged = bool(shape.network_directory)
    node: dict[str, Any] = {"extraMounts": _mounts(shape)}
    document: dict[str, Any] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": shape.name,
        "networking": {"podSubnet": pod_subnet(shape.name), "serviceSubnet": SERVICE_SUBNET},
        "nodes": [{"role": role, **node} for role in ["control-plane", *["worker"] * shape.workers]],
    }
    if packaged:
        document["networking"]["disableDefaultCNI"] = True
        document["kubeadmConfigPatches"] = _patches(versions)
    return document


def network_environment(name: str) -> str:
    """Return the settings a node from packages reads before it starts anything."""
    return f"POD_SUBNET={pod_subnet(name)}\nSERVICE_SUBNET={SERVICE_SUBNET}\n"


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
