"""A small release written by hand that keeps every rule: one HPA class, one KEDA class, one fixed class, a Job."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

Manifest = dict[str, Any]
CLASSES: dict[str, dict[str, Any]] = {
    "io": {
        "pool": "gevent", "concurrency": 200, "queues": ["io"], "soft_time_limit_seconds": None,
        "hard_time_limit_seconds": 300, "replicas": {"min": 1, "max": 5}, "scaler": "hpa",
        "termination_grace_period_seconds": 330,
    },
    "cpu": {
        "pool": "prefork", "concurrency": 4, "queues": ["cpu", "pdf"], "soft_time_limit_seconds": 60,
        "hard_time_limit_seconds": 90, "replicas": {"min": 0, "max": 3}, "scaler": "keda",
        "termination_grace_period_seconds": 120,
    },
    "mixed": {
        "pool": "threads", "concurrency": 16, "queues": ["mixed"], "soft_time_limit_seconds": None,
        "hard_time_limit_seconds": None, "replicas": {"min": 2, "max": 2}, "scaler": "none",
        "termination_grace_period_seconds": 330,
    },
}  # fmt: skip
SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
POD_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def queue(class_name: str, **changes: Any) -> dict[str, Any]:
    return {
        "class": class_name, "type": "classic", "max_priority": 9, "max_length_messages": 1000,
        "overflow": "reject-publish", "message_ttl_seconds": 1800, "dead_letter_queue": None,
        "consumer_timeout_seconds": 1800, **changes,
    }  # fmt: skip


def topology() -> dict[str, Any]:
    queues = {name: queue(owner) for owner, spec in CLASSES.items() for name in spec["queues"]}
    for name, settings in queues.items():
        settings["dead_letter_queue"] = f"{name}.dead"
    return {
        "version": 1, "release": "celery", "environment": "prod", "app": "examx", "default_queue": "io",
        "default_priority": 5, "dead_letter_exchange": "celery.dlx", "priorities": {"critical": 9, "bulk": 4},
        "queues": queues, "classes": copy.deepcopy(CLASSES),
        "routes": [{"task": "send_*", "queue": "io", "priority": 8}, {"task": "pdf", "queue": "pdf", "priority": None}],
    }  # fmt: skip


def config_map() -> Manifest:
    data = {"topology.json": json.dumps(topology())}
    data |= dict.fromkeys(("celery_workers_health.py", "apply_topology.py"), "pass\n")
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "celery-config"}, "data": data}


def pod(container: Manifest, **spec: Any) -> Manifest:
    mounted = {"name": "config", "configMap": {"name": "celery-config"}}
    container = {
        "image": "examx:1", "securityContext": copy.deepcopy(SECURITY),
        "resources": {"requests": {"cpu": "200m", "memory": "1Gi"}, "limits": {"cpu": 1, "memory": "2Gi"}},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/celery-workers"}], **container,
    }  # fmt: skip
    return {
        "serviceAccountName": "celery", "automountServiceAccountToken": False,
        "securityContext": copy.deepcopy(POD_SECURITY), "containers": [container],
        "volumes": [mounted, {"name": "tmp", "emptyDir": {}}], **spec,
    }  # fmt: skip


def health(what: str) -> Manifest:
    return {"exec": {"command": ["python", "/etc/celery-workers/celery_workers_health.py", what]}}


def deployment(name: str) -> Manifest:
    spec = CLASSES[name]
    labels = {"app.kubernetes.io/instance": "celery", "celery-workers/class": name}
    container = {
        "name": "worker",
        "command": ["celery"],
        "args": [
            "worker", f"--pool={spec['pool']}", f"--concurrency={spec['concurrency']}",
            f"--queues={','.join(spec['queues'])}",
        ],
        "env": [
            {"name": "CELERY_WORKERS_CLASS", "value": name},
            {"name": "CELERY_BROKER_URL", "valueFrom": {"secretKeyRef": {"name": "celery-broker", "key": "amqpUrl"}}},
        ],
        "startupProbe": health("startup"), "livenessProbe": health("live"),
        "readinessProbe": {"exec": {"command": ["test", "-f", "/run/celery-workers/ready"]}},
    }  # fmt: skip
    body = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": dict(labels)},
            "spec": pod(container, terminationGracePeriodSeconds=spec["termination_grace_period_seconds"]),
        },
    }
    if spec["scaler"] == "none":
        body["replicas"] = spec["replicas"]["min"]
    metadata = {"name": f"celery-{name}-worker", "labels": {"celery-workers/class": name}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": body}


def policies(*rules: tuple[str, int, int]) -> dict[str, Any]:
    return {"policies": [{"type": kind, "value": value, "periodSeconds": period} for kind, value, period in rules]}


def hpa() -> Manifest:
    target = {"type": "Utilization", "averageUtilization": 50}
    return {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "celery-io-worker"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "celery-io-worker"},
            "minReplicas": 1, "maxReplicas": 5,
            "metrics": [
                {"type": "Resource", "resource": {"name": name, "target": dict(target)}} for name in ("cpu", "memory")
            ],
            "behavior": {"scaleUp": policies(("Pods", 3, 60), ("Percent", 100, 120)),
                         "scaleDown": {"stabilizationWindowSeconds": 900, **policies(("Pods", 1, 600))}},
        },
    }  # fmt: skip


def scaled_object() -> Manifest:
    depth = {
        "type": "rabbitmq", "metricType": "AverageValue", "authenticationRef": {"name": "celery-broker"},
        "metadata": {"protocol": "http", "mode": "QueueLength", "queueName": "cpu", "value": "8"},
    }  # fmt: skip
    latency = copy.deepcopy(depth) | {"metricType": "Value"}
    latency["metadata"] |= {"mode": "ExpectedQueueConsumptionTime", "value": "300"}
    cpu = {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "70"}}
    return {
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "celery-cpu-worker"},
        "spec": {
            "scaleTargetRef": {"name": "celery-cpu-worker"}, "minReplicaCount": 0, "maxReplicaCount": 3,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleUp": policies(("Pods", 2, 120))}}},
            "triggers": [depth, latency, cpu],
        },
    }  # fmt: skip


def authentication() -> Manifest:
    reference = {"parameter": "host", "name": "celery-broker", "key": "managementUrl"}
    return {
        "apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication", "metadata": {"name": "celery-broker"},
        "spec": {"secretTargetRef": [reference]},
    }  # fmt: skip


def budget() -> Manifest:
    return {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "celery-mixed-worker"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"celery-workers/class": "mixed"}}},
    }  # fmt: skip


def job() -> Manifest:
    container = {"name": "topology", "command": ["python", "/etc/celery-workers/apply_topology.py"]}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "celery-topology"},
        "spec": {"template": {"spec": pod(container, restartPolicy="Never")}},
    }  # fmt: skip


def beat() -> Manifest:
    container = {"name": "beat", "command": ["celery"], "args": ["-A", "celery_workers_beat:app", "beat"]}
    labels = {"app.kubernetes.io/instance": "celery", "app.kubernetes.io/component": "beat"}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "celery-beat"},
        "spec": {
            "replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": dict(labels)}, "spec": pod(container)},
        },
    }  # fmt: skip


def network_policy() -> Manifest:
    ports = [{"protocol": "TCP", "port": port} for port in (53, 5672, 587)]
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "celery-pods"},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/instance": "celery"}},
            "policyTypes": ["Ingress", "Egress"], "egress": [{"ports": [port]} for port in ports],
        },
    }  # fmt: skip


def release() -> list[Manifest]:
    """Return a fresh release: change it freely."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "celery"}}
    workers = [deployment(name) for name in CLASSES]
    return [
        account,
        config_map(),
        *workers,
        hpa(),
        scaled_object(),
        authentication(),
        budget(),
        job(),
        beat(),
        network_policy(),
    ]


def find(manifests: list[Manifest], reference: str) -> Manifest:
    kind, _, name = reference.partition("/")
    (found,) = [one for one in manifests if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def change_topology(manifests: list[Manifest], change: Callable[[dict[str, Any]], Any]) -> None:
    data = find(manifests, "ConfigMap/celery-config")["data"]
    decoded = json.loads(data["topology.json"])
    change(decoded)
    data["topology.json"] = json.dumps(decoded)
