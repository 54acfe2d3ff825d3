"""What an application of the tests has beside its release: RabbitMQ, a volume for what it does, a pod of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.chart.manifests import Manifest
from harness.cluster import fixture, hostvolume, outside
from harness.cluster.namespace import Namespace
from harness.cluster.versions import versions
from tests.cluster.apps.images import Application
from tests.cluster.space import Space

CONFIGURATION = "/etc/celery-workers"
CA_DIRECTORY = "/etc/celery-workers-broker"
CLAIM = outside.CLAIM  # a name whose volume the namespace's removal takes along
ANSWER_SECONDS = 120.0
REACH_THE_BROKER = """
import os, socket
from urllib.parse import urlsplit
url = urlsplit(os.environ["CELERY_BROKER_URL"])
socket.create_connection((url.hostname, url.port), timeout=2).close()
"""


def add_volume(space: Space) -> None:
    """Make the claim `effects`: a directory that all nodes see, and this machine too."""
    path = Namespace(space.kubectl, space.name, space.place.node_directory).shared(CLAIM)
    assert path is not None
    spec = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": hostvolume.STORAGE}},
        "storageClassName": "",
        "volumeName": hostvolume.volume_name(space.name, CLAIM),
    }
    metadata = {"namespace": space.name, "name": CLAIM}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
    volume = hostvolume.volume(
        namespace=space.name, claim=CLAIM, access_mode="ReadWriteMany", directory=path, labels=outside.LABELS
    )
    space.kubectl.apply([volume, claim], doing="making the volume of what is done")


def add_broker(space: Space) -> None:
    """Run RabbitMQ beside the release, with the Secret a release asks for."""
    path = Namespace(space.kubectl, space.name, space.place.node_directory).shared(fixture.NAME)
    server = fixture.Fixture(space.name, versions().public_images["rabbitmq"], space.password, volume_path=path)
    space.kubectl.apply(fixture.manifests(server), doing="applying RabbitMQ")
    space.rollout(f"statefulset/{fixture.NAME}")


@dataclass(frozen=True)
class Publisher:
    """A pod of the application's image with the release's settings, as its web process would have them."""

    space: Space
    application: Application
    release: str
    env: Sequence[dict[str, Any]]
    mount: str
    secret: str = fixture.BROKER_SECRET
    ca_secret: str | None = None

    @property
    def name(self) -> str:
        return f"{self.release}-publisher"

    def start(self) -> None:
        """Run it; returns once it reaches the broker."""
        self.space.kubectl.apply([self._pod()], doing=f"starting {self.name}")
        self.space.wait_for("Ready", f"pod/{self.name}", seconds=60)

    def run(self, *command: str, seconds: float = ANSWER_SECONDS) -> str:
        """Run a command in it and return what it prints. Raises HarnessError."""
        return self.space.kubectl.run(
            "exec", self.name, "-n", self.space.name, "--", *command,
            doing=f"running {command[1:2]} in {self.name}", seconds=seconds,
        )  # fmt: skip

    def answer(self, *command: str) -> Any:
        """Run a command whose last line is a JSON document."""
        return json.loads(self.run(*command).splitlines()[-1])

    def _pod(self) -> Manifest:
        broker = {"secretKeyRef": {"name": self.secret, "key": "amqpUrl"}}
        mounts = [
            {"name": "configuration", "mountPath": CONFIGURATION},
            {"name": "data", "mountPath": self.mount},
            {"name": "tmp", "mountPath": "/tmp"},
        ]
        volumes: list[dict[str, Any]] = [
            {"name": "configuration", "configMap": {"name": f"{self.release}-config"}},
            {"name": "data", "persistentVolumeClaim": {"claimName": CLAIM}},
            {"name": "tmp", "emptyDir": {}},
        ]
        env = [*self.env]
        if self.ca_secret:
            env.append({"name": "CELERY_BROKER_CA_FILE", "value": f"{CA_DIRECTORY}/ca.crt"})
            mounts.append({"name": "ca", "mountPath": CA_DIRECTORY})
            volumes.append({"name": "ca", "secret": {"secretName": self.ca_secret}})
        container = {
            "name": "publisher",
            "image": self.application.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sleep", "infinity"],
            "env": [
                {"name": "PYTHONPATH", "value": CONFIGURATION},
                {"name": "CELERY_BROKER_URL", "valueFrom": broker},
                *env,
            ],
            # A new pod's first look-up of a name may fail on a busy machine, and Celery's publishers do not repeat it.
            "readinessProbe": {
                "exec": {"command": ["python", "-c", REACH_THE_BROKER]},
                "periodSeconds": 2,
                "timeoutSeconds": 5,
            },
            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": mounts,
        }
        spec = {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": outside.UID,
                "runAsGroup": outside.UID,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": volumes,
        }
        metadata = {"namespace": self.space.name, "name": self.name}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
