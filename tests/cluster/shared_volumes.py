"""Makes our kind cluster one like a user's: a StorageClass with volumes that all nodes may write to.

`python -m tests.cluster.shared_volumes` makes class `shared-files` with 24 volumes, two for each test's namespace,
and prints what to export; `python -m tests.cluster.shared_volumes --delete` removes them. The tests then run as in
docs/how-to/your-cluster.md, by KUBECONFIG.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from harness import tools
from harness.cluster import given, kindconfig, programs
from harness.cluster.kubectl import Kubectl

CLASS = "shared-files"
FOLDER = "class-volumes"
COUNT = 24
LABELS = {"app.kubernetes.io/part-of": CLASS}


def manifests(count: int) -> list[dict[str, Any]]:
    """Return the class and its volumes; a claim of either access mode finds one."""
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "labels": LABELS},
        "provisioner": "kubernetes.io/no-provisioner",
    }
    return [storage_class, *(_volume(number) for number in range(count))]


def _volume(number: int) -> dict[str, Any]:
    path = f"{kindconfig.SHARED_DIRECTORY}/{FOLDER}/{number}"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{CLASS}-{number}", "labels": LABELS},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
            "storageClassName": CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": path, "type": "Directory"},
        },
    }


def main(arguments: list[str]) -> None:
    """Make or delete them."""
    home = tools.cache_home() / "cluster" / kindconfig.cluster_name(os.environ)
    kubectl, folder = Kubectl(programs.find_kubectl(), home / "kubeconfig"), home / "shared" / FOLDER
    selector = f"--selector={next(iter(LABELS))}={CLASS}"
    kubectl.run("delete", "storageclass,persistentvolume", selector, doing="deleting the volumes of an earlier time")
    shutil.rmtree(folder, ignore_errors=True)
    if arguments == ["--delete"]:
        return
    for number in range(COUNT):
        _make_writable(folder / str(number))
    kubectl.apply(manifests(COUNT), doing="making the class and its volumes")
    print(f"export KUBECONFIG={home / 'kubeconfig'} {given.STORAGE_CLASS_VARIABLE}={CLASS}")


def _make_writable(directory: Path) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o777)  # pods write there under uids of their own


if __name__ == "__main__":
    main(sys.argv[1:])
