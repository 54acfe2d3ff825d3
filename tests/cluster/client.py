"""A pod that publishes and looks, as a web process beside the release would: it ends with nothing the tests end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.cluster import fixture, outside
from harness.cluster.kubectl import Kubectl

NAME = "client"
SCRIPT = Path(__file__).with_name("inside.py")
MOUNT, CONFIGURATION = "/client", "/etc/celery-workers"
ANSWER_SECONDS = 60.0


def manifests(namespace: str, image: str, *, release: str = "celery") -> list[dict[str, Any]]:
    """Return the pod, with the settings the release gives its publishers, and its script."""
    metadata = {"namespace": namespace, "name": NAME, "labels": {"app.kubernetes.io/name": NAME}}
    script = {SCRIPT.name: SCRIPT.read_text()}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": script},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": _pod(image, f"{release}-config")},
    ]


def _pod(image: str, config: str) -> dict[str, Any]:
    broker = {
        "name": "CELERY_BROKER_URL",
        "valueFrom": {"secretKeyRef": {"name": fixture.BROKER_SECRET, "key": "amqpUrl"}},
    }
    container = {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "env": [
            {"name": "PYTHONPATH", "value": CONFIGURATION},
            {"name": "CELERY_WORKERS_CONFIG_DIR", "value": CONFIGURATION},
            broker,
        ],
        "envFrom": [{"secretRef": {"name": outside.SECRET}}],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "384Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "script", "mountPath": MOUNT},
            {"name": "configuration", "mountPath": CONFIGURATION},
            {"name": "effects", "mountPath": outside.MOUNT},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": outside.UID,
            "runAsGroup": outside.UID,
            "fsGroup": outside.UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "script", "configMap": {"name": NAME}},
            {"name": "configuration", "configMap": {"name": config}},
            {"name": "effects", "persistentVolumeClaim": {"claimName": outside.CLAIM}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def ask(kubectl: Kubectl, namespace: str, command: str, document: Any, *, seconds: float = ANSWER_SECONDS) -> Any:
    """Run one of inside.py's commands and return its answer. Raises HarnessError."""
    text = kubectl.run(
        "exec", "-i", NAME, "-n", namespace, "--", "python", f"{MOUNT}/{SCRIPT.name}", command,
        doing=f"asking the client to {command}", seconds=seconds, stdin=json.dumps(document),
    )  # fmt: skip
    return json.loads(text.splitlines()[-1])
