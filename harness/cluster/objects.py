"""What the objects beside a release have in common: pods at the restricted level, without a token. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def placed(documents: Sequence[Mapping[str, Any]], namespace: str, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the documents in a namespace and with labels; a PersistentVolume is in none, and has its own."""
    return [
        dict(one)
        if one["kind"] == "PersistentVolume"
        else {**one, "metadata": {"namespace": namespace, "labels": dict(labels), **one["metadata"]}}
        for one in documents
    ]


def pod(
    uid: int, *, containers: Sequence[Mapping[str, Any]], volumes: Sequence[Mapping[str, Any]], **more: Any
) -> dict[str, Any]:
    """Return a pod's spec; its processes are user and group `uid`, as are its volumes: a new one may be root's."""
    return {
        **more,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": uid,
            "runAsGroup": uid,
            "fsGroup": uid,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": list(containers),
        "volumes": list(volumes),
    }


def container_security() -> dict[str, Any]:
    """Return the securityContext of a container."""
    return {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def service(name: str, ports: Mapping[str, int]) -> dict[str, Any]:
    """Return the Service of the pods of that name; ports by name."""
    spec = {
        "selector": {"app.kubernetes.io/name": name},
        "ports": [{"name": each, "port": port} for each, port in ports.items()],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
