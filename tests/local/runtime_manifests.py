"""Small handwritten manifests for the local runtime's tests."""

from __future__ import annotations

from typing import Any

READY_PROBE = {"exec": {"command": ["test", "-f", "/run/state/ready"]}, "periodSeconds": 1}

# Says it is ready after a moment, ends at SIGTERM with what it was told, and has a child as a prefork worker has.
WORKER = """
import os, pathlib, signal, subprocess, sys, time
state = pathlib.Path(os.environ["STATE"])
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
def stop(*_):
    print("stopping", flush=True)
    (state / "ready").unlink(missing_ok=True)
    time.sleep(float(os.environ.get("STOP_SECONDS", "0")))
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("child", child.pid, flush=True)
(state / "ready").touch()
while True:
    time.sleep(0.05)
"""

BUSY = "while True: pass"


def container(**changes: Any) -> dict[str, Any]:
    """Return a container that runs WORKER."""
    return {
        "name": "worker",
        "image": "not-used",
        "command": ["python", "-c", WORKER],
        "env": [{"name": "STATE", "value": "/run/state"}],
        "resources": {"requests": {"cpu": "200m", "memory": "64Mi"}},
        "readinessProbe": READY_PROBE,
        "volumeMounts": [{"name": "state", "mountPath": "/run/state"}],
        **changes,
    }


def deployment(name: str = "web", *, replicas: int | None = 1, grace: int = 5, **changes: Any) -> dict[str, Any]:
    """Return a Deployment of one such container; `changes` are the container's."""
    spec: dict[str, Any] = {
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {
                "terminationGracePeriodSeconds": grace,
                "containers": [container(**changes)],
                "volumes": [{"name": "state", "emptyDir": {}}],
            },
        },
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def job(script: str, *, name: str = "setup", backoff_limit: int = 0, restart: str = "Never") -> dict[str, Any]:
    """Return a Job that runs a shell script."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "backoffLimit": backoff_limit,
            "template": {
                "spec": {
                    "restartPolicy": restart,
                    "containers": [{"name": "job", "command": ["sh", "-c"], "args": [script]}],
                }
            },
        },
    }


def hpa(name: str = "web", *, maximum: int = 3, minimum: int = 1, cpu_percent: int = 50) -> dict[str, Any]:
    """Return an HPA on CPU that acts at once in both directions."""
    at_once = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 4, "periodSeconds": 1}]}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": minimum,
            "maxReplicas": maximum,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": cpu_percent}},
                }
            ],
            "behavior": {"scaleUp": at_once, "scaleDown": at_once},
        },
    }


def scaled_object(name: str = "web", *, minimum: int = 1, maximum: int = 10, value: int = 200) -> dict[str, Any]:
    """Return a ScaledObject on the depth of queue io: +3 pods a minute or double in two, as the chart's io class."""
    up = {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Pods", "value": 3, "periodSeconds": 60},
            {"type": "Percent", "value": 100, "periodSeconds": 120},
        ],
    }
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"name": name},
            "minReplicaCount": minimum,
            "maxReplicaCount": maximum,
            "pollingInterval": 1,
            "cooldownPeriod": 1,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleUp": up}}},
            "triggers": [
                {
                    "type": "rabbitmq",
                    "metricType": "AverageValue",
                    "metadata": {"protocol": "http", "mode": "QueueLength", "queueName": "io", "value": str(value)},
                }
            ],
        },
    }
