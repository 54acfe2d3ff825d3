"""The Job that undoes one override at its end, with the rights for it and no more. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.ops import objects
from harness.ops.objects import Document
from harness.ops.overrides import Override

MOUNT = "/etc/celery-workers-ops-undo"
CONFIGURATION = "/etc/celery-workers"
MARGIN_SECONDS = 1800  # after the end, for an API server that is away just then
KEPT_SECONDS = 3600  # what it said can be read so long
ATTEMPTS = 20
BROKER_VARIABLES = (
    "CELERY_BROKER_URL", "CELERY_BROKER_CA_FILE", "CELERY_WORKERS_CONFIG_DIR", "CELERY_WORKERS_CLASS",
)  # fmt: skip
POD_FIELDS = ("securityContext", "imagePullSecrets", "nodeSelector", "tolerations", "priorityClassName")
CONTAINER_FIELDS = ("image", "imagePullPolicy", "securityContext")
# The rule of each kind: API group, resource.
RESOURCES: Mapping[str, tuple[str, str]] = {
    objects.DEPLOYMENT: ("apps", "deployments/scale"),
    objects.HPA: ("autoscaling", "horizontalpodautoscalers"),
    objects.SCALED_OBJECT: ("keda.sh", "scaledobjects"),
}


def job_name(release: str, override: Override) -> str:
    """Return the name of the Job and of all that belongs to it."""
    return f"{objects.state_name(release)[:50]}-{override.id}"


def job(override: Override, deployment: Document, *, release: str, namespace: str, files: Iterable[str]) -> Document:
    """Return the Job, suspended: it is to begin when its rights are there.

    `deployment` is one of the release's workers, whose image and security context it has; `files` are the programs,
    as paths below a directory of Python's.
    """
    name = job_name(release, override)
    lasts_seconds = max(int((override.until or override.at) - override.at), 0)
    pod_labels = {**_labels(release), "celery-workers/override": override.id}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(name, namespace, release),
        "spec": {
            "suspend": True,
            "backoffLimit": ATTEMPTS,
            "activeDeadlineSeconds": lasts_seconds + MARGIN_SECONDS,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            # A pod that has to leave its node has not failed.
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "template": {
                "metadata": {"labels": pod_labels},
                "spec": _pod(override, deployment, release=release, namespace=namespace, files=files),
            },
        },
    }


def companions(
    override: Override, *, release: str, namespace: str, owner_uid: str, files: Mapping[str, str]
) -> list[Document]:
    """Return what the Job needs and what goes with it: its programs, its account, its rights."""
    name = job_name(release, override)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": owner_uid}
    metadata = {**_metadata(name, namespace, release), "ownerReferences": [owner]}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {_key(path): text for path, text in files.items()},
        },
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": False},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": rules(override, release=release),
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    ]


def rules(override: Override, *, release: str) -> list[dict[str, Any]]:
    """Return the rights an undoing needs: to read and patch each object that was changed, by its name."""
    names = {("", "configmaps"): {objects.state_name(release)}}
    for change in override.changes:
        kind, owner = objects.parts_of(change.thing)
        if kind in (objects.FLOOR, objects.HOLD):
            object_kind, _, object_name = owner.partition("/")
            names.setdefault(RESOURCES[object_kind], set()).add(object_name)
    return [
        {"apiGroups": [group], "resources": [resource], "resourceNames": sorted(found), "verbs": ["get", "patch"]}
        for (group, resource), found in sorted(names.items())
    ]


def asks_workers(override: Override) -> bool:
    """Whether undoing it takes a word with the workers, by the broker."""
    return any(objects.parts_of(change.thing)[0] == "worker-rate" for change in override.changes)


def _pod(
    override: Override, deployment: Document, *, release: str, namespace: str, files: Iterable[str]
) -> dict[str, Any]:
    name = job_name(release, override)
    template = deployment["spec"]["template"]["spec"]
    worker = template["containers"][0]
    items = [{"key": _key(path), "path": path} for path in files]
    volumes: list[dict[str, Any]] = [
        {"name": "undo", "configMap": {"name": name, "items": items}},
        {"name": "tmp", "emptyDir": {}},
    ]
    mounts = [{"name": "undo", "mountPath": MOUNT, "readOnly": True}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
    environment = [
        {"name": "PYTHONPATH", "value": f"{MOUNT}:{CONFIGURATION}"},
        {"name": "PYTHONUNBUFFERED", "value": "1"},
        {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
        {"name": "OPS_RELEASE", "value": release},
        {"name": "OPS_NAMESPACE", "value": namespace},
        {"name": "OPS_OVERRIDE", "value": override.id},
    ]
    if asks_workers(override):
        environment += [one for one in worker.get("env", ()) if one["name"] in BROKER_VARIABLES]
        wanted = {one["name"] for one in template.get("volumes", ()) if "configMap" in one or "secret" in one}
        volumes += [one for one in template.get("volumes", ()) if one["name"] in wanted]
        mounts += [one for one in worker.get("volumeMounts", ()) if one["name"] in wanted]
    return {
        **{field: template[field] for field in POD_FIELDS if field in template},
        "restartPolicy": "Never",
        "serviceAccountName": name,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "containers": [
            {
                **{field: worker[field] for field in CONTAINER_FIELDS if field in worker},
                "name": "undo",
                "command": ["python", "-m", "harness.ops.expiry"],
                "env": environment,
                "resources": {
                    "requests": {"cpu": "10m", "memory": "64Mi"},
                    "limits": {"cpu": "500m", "memory": "256Mi"},
                },
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }


def _labels(release: str) -> dict[str, str]:
    # Not the workers' own name: no Deployment, budget or network rule of theirs is to take it for one of them.
    return {
        "app.kubernetes.io/name": "celery-workers-ops",
        "app.kubernetes.io/instance": release,
        "app.kubernetes.io/component": "ops",
        "app.kubernetes.io/part-of": "celery-workers",
    }


def _metadata(name: str, namespace: str, release: str) -> dict[str, Any]:
    return {"name": name, "namespace": namespace, "labels": _labels(release)}


def _key(path: str) -> str:
    """Return the key a file has in a ConfigMap, which knows no directories."""
    return path.replace("/", "--")
