"""RabbitMQ of several nodes as a fixture beside the release, for what one plain node cannot show: quorum queues, TLS.

Its users come as definitions; the caller makes the Secrets that releases read. Pure.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.cluster import hostvolume, objects
from harness.cluster.fixture import AMQP_PORT, LABELS, MANAGEMENT_PORT, NAME, UID

PEERS = f"{NAME}-nodes"  # the headless Service that gives each node a name
AMQPS_PORT, HTTPS_PORT = 5671, 15671
CERTIFICATES = "/etc/rabbitmq-tls"
DATA = "/var/lib/rabbitmq"

CONFIGURATION = """\
loopback_users = none
cluster_partition_handling = pause_minority
queue_leader_locator = balanced
vm_memory_high_watermark.absolute = 300MiB
disk_free_limit.absolute = 200MB
log.console = true
log.file = false
load_definitions = /etc/rabbitmq/definitions.json
"""
PLAIN_LISTENERS = f"listeners.tcp.1 = {AMQP_PORT}\nmanagement.tcp.port = {MANAGEMENT_PORT}\n"
TLS_LISTENERS = f"""\
listeners.tcp = none
listeners.ssl.1 = {AMQPS_PORT}
ssl_options.cacertfile = {CERTIFICATES}/ca.crt
ssl_options.certfile = {CERTIFICATES}/tls.crt
ssl_options.keyfile = {CERTIFICATES}/tls.key
ssl_options.verify = verify_none
management.ssl.port = {HTTPS_PORT}
management.ssl.cacertfile = {CERTIFICATES}/ca.crt
management.ssl.certfile = {CERTIFICATES}/tls.crt
management.ssl.keyfile = {CERTIFICATES}/tls.key
"""


@dataclass(frozen=True)
class User:
    """A user of the broker in the virtual host /, with the permissions and the tag of its work."""

    name: str
    password: str
    configure: str = ".*"
    write: str = ".*"
    read: str = ".*"
    tag: str = "administrator"


@dataclass(frozen=True)
class Cluster:
    """One RabbitMQ of `nodes` nodes in one namespace.

    `volume_paths` has a directory for each node, one that all nodes of Kubernetes see: for kind. Without them the
    cluster's default StorageClass is asked. `tls_secret` names a Secret with ca.crt, tls.crt and tls.key: the broker
    then speaks TLS and nothing else.
    """

    namespace: str
    image: str
    users: Sequence[User]
    nodes: int = 3
    volume_paths: Sequence[str] = field(default_factory=tuple)
    tls_secret: str | None = None

    @property
    def host(self) -> str:
        """The Service's name inside the cluster."""
        return f"{NAME}.{self.namespace}"

    @property
    def ports(self) -> dict[str, int]:
        """The ports clients connect to, AMQP's and the management API's."""
        if self.tls_secret:
            return {"amqps": AMQPS_PORT, "https": HTTPS_PORT}
        return {"amqp": AMQP_PORT, "management": MANAGEMENT_PORT}


def manifests(cluster: Cluster) -> list[dict[str, Any]]:
    """Return the fixture's objects; all of them are in its namespace but the volumes, see `volume_names`."""
    volumes = [
        hostvolume.volume(
            namespace=cluster.namespace,
            claim=claim_name(number),
            access_mode="ReadWriteOnce",
            directory=path,
            labels=LABELS,
        )
        for number, path in enumerate(cluster.volume_paths)
    ]
    service = objects.service(NAME, cluster.ports)
    made = [*volumes, _configuration(cluster), _secrets(cluster), service, _peers(), _servers(cluster)]
    return objects.placed(made, cluster.namespace, LABELS)


def claim_name(number: int) -> str:
    """Return the claim of a node, as the StatefulSet names it."""
    return f"data-{NAME}-{number}"


def volume_names(cluster: Cluster) -> list[str]:
    """Return the PersistentVolumes; they outlive the namespace, so delete them too."""
    return [hostvolume.volume_name(cluster.namespace, claim_name(n)) for n, _ in enumerate(cluster.volume_paths)]


def definitions(users: Sequence[User]) -> dict[str, Any]:
    """Return what each node imports when it starts: the virtual host / and the users.

    The salt is made of the user's name, so that the same users give the same document.
    """
    return {
        "vhosts": [{"name": "/"}],
        "users": [
            {
                "name": user.name,
                "password_hash": _password_hash(user.password, salt=hashlib.sha256(user.name.encode()).digest()[:4]),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": user.tag,
            }
            for user in users
        ],
        "permissions": [
            {"user": user.name, "vhost": "/", "configure": user.configure, "write": user.write, "read": user.read}
            for user in users
        ],
    }


def _password_hash(password: str, *, salt: bytes) -> str:
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _node_name(number: int | str) -> str:
    return f"rabbit@{NAME}-{number}.{PEERS}"


def _configuration(cluster: Cluster) -> dict[str, Any]:
    peers = [
        f"cluster_formation.classic_config.nodes.{number + 1} = {_node_name(number)}\n"
        for number in range(cluster.nodes)
    ]
    discovery = "cluster_formation.peer_discovery_backend = classic_config\n"
    listeners = TLS_LISTENERS if cluster.tls_secret else PLAIN_LISTENERS
    data = {
        "20-fixture.conf": "".join([CONFIGURATION, listeners, discovery, *peers]),
        "enabled_plugins": "[rabbitmq_management].\n",
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": data}


def _secrets(cluster: Cluster) -> dict[str, Any]:
    shared = hashlib.sha256(json.dumps([cluster.namespace, *(user.password for user in cluster.users)]).encode())
    data = {"definitions.json": json.dumps(definitions(cluster.users)), "erlang-cookie": shared.hexdigest()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}, "type": "Opaque", "stringData": data}


def _peers() -> dict[str, Any]:
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,  # nodes find each other before they are ready
        "selector": {"app.kubernetes.io/name": NAME},
        "ports": [{"name": "epmd", "port": 4369}, {"name": "distribution", "port": 25672}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": PEERS}, "spec": spec}


def _servers(cluster: Cluster) -> dict[str, Any]:
    claim: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": hostvolume.STORAGE}},
    }
    if cluster.volume_paths:
        claim["storageClassName"] = ""  # the volumes name their claims
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": NAME},
        "spec": {
            "serviceName": PEERS,
            "replicas": cluster.nodes,
            "podManagementPolicy": "Parallel",  # a cluster forms of nodes that see each other
            "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
            "template": {"metadata": {"labels": dict(LABELS)}, "spec": _pod(cluster)},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
        },
    }


def _pod(cluster: Cluster) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [
        {"name": "configuration", "configMap": {"name": NAME}},
        {"name": "secrets", "secret": {"secretName": NAME}},
        {"name": "logs", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
    ]
    if cluster.tls_secret:
        volumes.append({"name": "tls", "secret": {"secretName": cluster.tls_secret}})
    return objects.pod(
        UID,
        initContainers=[_cookie(cluster)],
        containers=[_server(cluster)],
        volumes=volumes,
        terminationGracePeriodSeconds=60,
    )


def _cookie(cluster: Cluster) -> dict[str, Any]:
    """Erlang wants its cookie in a file that nobody else may read, which a mounted Secret is not."""
    copy = f"umask 077 && cp -f /secrets/erlang-cookie {DATA}/.erlang.cookie"
    return {
        "name": "cookie",
        "image": cluster.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", copy],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": objects.container_security(),
        "volumeMounts": [
            {"name": "secrets", "mountPath": "/secrets"},
            {"name": "data", "mountPath": DATA},
        ],
    }


def _server(cluster: Cluster) -> dict[str, Any]:
    amqp, management = cluster.ports
    mounts = [
        {"name": "data", "mountPath": DATA},
        {"name": "configuration", "mountPath": "/etc/rabbitmq/conf.d/20-fixture.conf", "subPath": "20-fixture.conf"},
        {"name": "configuration", "mountPath": "/etc/rabbitmq/enabled_plugins", "subPath": "enabled_plugins"},
        {"name": "secrets", "mountPath": "/etc/rabbitmq/definitions.json", "subPath": "definitions.json"},
        {"name": "logs", "mountPath": "/var/log/rabbitmq"},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container
    ]
    if cluster.tls_secret:
        mounts.append({"name": "tls", "mountPath": CERTIFICATES})
    return {
        "name": NAME,
        "image": cluster.image,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "RABBITMQ_USE_LONGNAME", "value": "true"},
            {"name": "RABBITMQ_NODENAME", "value": f"rabbit@$(POD_NAME).{PEERS}"},
        ],
        "ports": [{"name": name, "containerPort": port} for name, port in cluster.ports.items()],
        "startupProbe": {"tcpSocket": {"port": amqp}, "periodSeconds": 1, "failureThreshold": 180},
        "readinessProbe": {"tcpSocket": {"port": management}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "50m", "memory": "192Mi"}, "limits": {"memory": "768Mi"}},
        "securityContext": objects.container_security(),
        "volumeMounts": mounts,
    }
