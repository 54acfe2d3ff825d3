"""A claim bound to one directory of the nodes: what has to outlive pods. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STORAGE = "1Gi"  # a figure the API asks for; a host path has no size


def volume_name(namespace: str, claim: str) -> str:
    """Return the name of a claim's PersistentVolume; it outlives the namespace, so delete it too."""
    return f"{namespace}-{claim}"


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
