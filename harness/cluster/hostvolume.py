"""Claims of what has to outlive pods: one directory of the nodes, or what a StorageClass gives. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STORAGE = "1Gi"  # a figure the API asks for; a host path has no size


def volume_name(namespace: str, claim: str) -> str:
    """Return the name of a claim's PersistentVolume; it outlives the namespace, so delete it too."""
    return f"{namespace}-{claim}"


def storage(
    *,
    namespace: str,
    name: str,
    access_mode: str,
    directory: str | None,
    storage_class: str | None,
    labels: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Return the claim and, where a directory is given, before it the volume that it binds."""
    wanted = claim(
        namespace=namespace,
        name=name,
        access_mode=access_mode,
        directory=directory,
        storage_class=storage_class,
    )
    if directory is None:
        return [wanted]
    made = volume(namespace=namespace, claim=name, access_mode=access_mode, directory=directory, labels=labels)
    return [made, wanted]


def claim(
    *, namespace: str, name: str, access_mode: str, directory: str | None, storage_class: str | None
) -> dict[str, Any]:
    """Return the claim of `volume` where a directory is given, else of what the StorageClass gives (None: the default).

    The namespace is for whoever puts the object there.
    """
    spec: dict[str, Any] = {"accessModes": [access_mode], "resources": {"requests": {"storage": STORAGE}}}
    if directory is not None:
        spec |= {"storageClassName": "", "volumeName": volume_name(namespace, name)}
    elif storage_class is not None:
        spec |= {"storageClassName": storage_class}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def volume(
    *, namespace: str, claim: str, access_mode: str, directory: str, labels: Mapping[str, str]
) -> dict[str, Any]:
    """Return the PersistentVolume that only this claim can bind."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name(namespace, claim), "labels": dict(labels)},
        "spec": {
            "capacity": {"storage": STORAGE},
            "accessModes": [access_mode],
            "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": namespace, "name": claim},
            "hostPath": {"path": directory, "type": "Directory"},
        },
    }
