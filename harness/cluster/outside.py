"""The reference application's outside world in a cluster: stand-in services, and a volume for its effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.cluster import hostvolume, objects

NAME = "services"
CLAIM = "effects"
MOUNT = "/effects"
DELIVERIES, DATABASE, FILES = "deliveries.jsonl", "examx.sqlite3", "files"  # on the volume
DATABASE_URL = f"sqlite:///{MOUNT}/{DATABASE}"
SECRET = "examx-services"  # noqa: S105 - the name of a Secret, values.yaml's default
UID = 10001
SMTP_PORT, HTTP_PORT = 1025, 8025
LABELS: Mapping[str, str] = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "celery-workers-fixture"}


@dataclass(frozen=True)
class Outside:
    """Stand-ins and effects of one namespace.

    `volume_path` is a directory that every node sees, as on kind; without it `storage_class` is asked for a volume that
    several nodes may write to (None: the cluster's default).
    """

    namespace: str
    image: str
    volume_path: str | None = None
    storage_class: str | None = None
    profile: str = "{}"  # JSON: latency, errors and refusals of each service


def services_url(namespace: str) -> str:
    """Return the URL of the stand-ins' HTTP side, inside the cluster."""
    return f"http://{NAME}.{namespace}:{HTTP_PORT}"


def worker_values() -> dict[str, Any]:
    """Return values that mount the effects' volume into every worker."""
    volume = {"name": CLAIM, "persistentVolumeClaim": {"claimName": CLAIM}}
    return {"workerDefaults": {"volumes": [volume], "volumeMounts": [{"name": CLAIM, "mountPath": MOUNT}]}}


def volume_name(namespace: str) -> str:
    """Return the name of the namespace's PersistentVolume; it outlives the namespace, so delete it too."""
    return hostvolume.volume_name(namespace, CLAIM)


def manifests(outside: Outside) -> list[dict[str, Any]]:
    """Return the objects, all of them in the namespace but the volume, which bears its name."""
    storage = hostvolume.storage(
        namespace=outside.namespace,
        name=CLAIM,
        access_mode="ReadWriteMany",
        directory=outside.volume_path,
        storage_class=outside.storage_class,
        labels=LABELS,
    )
    service = objects.service(NAME, {"smtp": SMTP_PORT, "http": HTTP_PORT})
    made = [*storage, _secret(outside), _profile(outside), service, _deployment(outside)]
    return objects.placed(made, outside.namespace, LABELS)


def _secret(outside: Outside) -> dict[str, Any]:
    data = {
        "EXAMX_SMTP_URL": f"smtp://{NAME}.{outside.namespace}:{SMTP_PORT}",
        "EXAMX_SERVICES_URL": services_url(outside.namespace),
        "EXAMX_DATABASE_URL": DATABASE_URL,
        "EXAMX_FILES_DIR": f"{MOUNT}/{FILES}",
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "type": "Opaque", "stringData": data}


def _profile(outside: Outside) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME},
        "data": {"profile.json": outside.profile},
    }


def _deployment(outside: Outside) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},  # two would write one journal
            "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
            "template": {"metadata": {"labels": dict(LABELS)}, "spec": _pod(outside)},
        },
    }


def _pod(outside: Outside) -> dict[str, Any]:
    listen = ["--host", "0.0.0.0", "--smtp-port", str(SMTP_PORT), "--http-port", str(HTTP_PORT)]  # noqa: S104 - a pod
    container = {
        "name": NAME,
        "image": outside.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [
            "python",
            "-m",
            "examx.standins",
            *listen,
            "--directory",
            MOUNT,
            "--profile",
            "/profile/profile.json",
        ],
        "readinessProbe": {"tcpSocket": {"port": HTTP_PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "384Mi"}},
        "securityContext": objects.container_security(),
        "volumeMounts": [
            {"name": CLAIM, "mountPath": MOUNT},
            {"name": "profile", "mountPath": "/profile"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container
        ],
    }
    volumes = [
        {"name": CLAIM, "persistentVolumeClaim": {"claimName": CLAIM}},
        {"name": "profile", "configMap": {"name": NAME}},
        {"name": "tmp", "emptyDir": {}},
    ]
    return objects.pod(UID, containers=[container], volumes=volumes)
