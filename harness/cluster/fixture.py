"""RabbitMQ as a fixture: beside the release, with storage of its own, and the Secret the release asks for."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.cluster import hostvolume, objects

NAME = "rabbitmq"
BROKER_SECRET = "celery-broker"  # noqa: S105 - the name of a Secret, values.yaml's default
UID = 999  # the rabbitmq user of the public image, and of ours
AMQP_PORT, MANAGEMENT_PORT, METRICS_PORT = 5672, 15672, 15692
LABELS: Mapping[str, str] = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "celery-workers-fixture"}
CONFIGURATION = """\
loopback_users = none
vm_memory_high_watermark.absolute = 600MiB
disk_free_limit.absolute = 200MB
log.console = true
log.file = false
"""


@dataclass(frozen=True)
class Fixture:
    """One RabbitMQ in one namespace.

    `volume_path` is a directory that every node sees, for kind; without it `storage_class` is asked for a volume (None:
    the cluster's default).
    """

    namespace: str
    image: str
    password: str
    user: str = "celery"
    volume_path: str | None = None
    storage_class: str | None = None

    @property
    def amqp_url(self) -> str:
        """The URL workers connect to, inside the cluster."""
        return f"amqp://{self.user}:{self.password}@{NAME}.{self.namespace}:{AMQP_PORT}//"

    @property
    def management_url(self) -> str:
        """The URL of the management API, inside the cluster."""
        return f"http://{self.user}:{self.password}@{NAME}.{self.namespace}:{MANAGEMENT_PORT}"


def manifests(fixture: Fixture) -> list[dict[str, Any]]:
    """Return the fixture's objects; all of them are in its namespace but the volume, which bears its name."""
    storage = hostvolume.storage(
        namespace=fixture.namespace,
        name=NAME,
        access_mode="ReadWriteOnce",
        directory=fixture.volume_path,
        storage_class=fixture.storage_class,
        labels=LABELS,
    )
    service = objects.service(NAME, {"amqp": AMQP_PORT, "management": MANAGEMENT_PORT})
    made = [*storage, _broker_secret(fixture), _login(fixture), _configuration(), service, _server(fixture)]
    return objects.placed(made, fixture.namespace, LABELS)


def volume_name(namespace: str) -> str:
    """Return the name of the namespace's PersistentVolume; it outlives the namespace, so delete it too."""
    return hostvolume.volume_name(namespace, NAME)


def _broker_secret(fixture: Fixture) -> dict[str, Any]:
    return _secret(BROKER_SECRET, {"amqpUrl": fixture.amqp_url, "managementUrl": fixture.management_url})


def _login(fixture: Fixture) -> dict[str, Any]:
    return _secret(NAME, {"RABBITMQ_DEFAULT_USER": fixture.user, "RABBITMQ_DEFAULT_PASS": fixture.password})


def _secret(name: str, data: Mapping[str, str]) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque", "data": encoded}


def _configuration() -> dict[str, Any]:
    data = {"20-fixture.conf": CONFIGURATION, "enabled_plugins": "[rabbitmq_management,rabbitmq_prometheus].\n"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": data}


def _server(fixture: Fixture) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": NAME},
        "spec": {
            "serviceName": NAME,
            "replicas": 1,
            "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
            "template": {"metadata": {"labels": dict(LABELS)}, "spec": _pod(fixture)},
        },
    }


def _pod(fixture: Fixture) -> dict[str, Any]:
    volumes = [
        {"name": "data", "persistentVolumeClaim": {"claimName": NAME}},
        {"name": "configuration", "configMap": {"name": NAME}},
        {"name": "logs", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
    ]
    return objects.pod(UID, containers=[_container(fixture)], volumes=volumes)


def _container(fixture: Fixture) -> dict[str, Any]:
    return {
        "name": NAME,
        "image": fixture.image,
        "imagePullPolicy": "IfNotPresent",
        # One name, so that the node finds its data whatever its pod is called.
        "env": [{"name": "RABBITMQ_NODENAME", "value": "rabbit@localhost"}],
        "envFrom": [{"secretRef": {"name": NAME}}],
        "ports": [
            {"name": "amqp", "containerPort": AMQP_PORT},
            {"name": "management", "containerPort": MANAGEMENT_PORT},
            {"name": "prometheus", "containerPort": METRICS_PORT},
        ],
        "startupProbe": {"tcpSocket": {"port": "amqp"}, "periodSeconds": 1, "failureThreshold": 120},
        "readinessProbe": {"tcpSocket": {"port": "management"}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": objects.container_security(),
        "volumeMounts": [
            {"name": "data", "mountPath": "/var/lib/rabbitmq"},
            {
                "name": "configuration",
                "mountPath": "/etc/rabbitmq/conf.d/20-fixture.conf",
                "subPath": "20-fixture.conf",
            },
            {"name": "configuration", "mountPath": "/etc/rabbitmq/enabled_plugins", "subPath": "enabled_plugins"},
            {"name": "logs", "mountPath": "/var/log/rabbitmq"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container
        ],
    }
