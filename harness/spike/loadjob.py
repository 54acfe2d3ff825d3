"""The load generator of a run inside the cluster: one headless Locust as a Job. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cluster import objects, outside
from harness.spike.load import JOURNALS, Load

NAME = "load"
UID = outside.UID  # the journals lie on the effects' volume, beside what the workers write
LOCUSTFILE = Path("/opt/application/loadtests/spike.py")  # where images/worker puts the sources
GIVEN = Path("/load")
TOPOLOGY_FILE, SCENARIO_FILE = "topology.json", "scenario.yaml"
LABELS: Mapping[str, str] = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "celery-workers-fixture"}


@dataclass(frozen=True, kw_only=True)
class LoadJob:
    """One run's load. Addresses and paths are those inside the pod.

    `scenario_text` is a scenario as `resolved_text` writes it. `effects` says where tasks are seen to be done
    (SPIKE_EFFECTS). `start_at` is in seconds since the epoch, None: as soon as Locust is up. The Job is ended
    `margin_seconds` after the scenario's limit, counted from its creation: start and wait for `start_at` lie between.
    `claim` is a volume that is there already; `journals` a directory on it, made when the load begins.
    """

    namespace: str
    image: str
    broker_url: str
    topology_json: str
    scenario_text: str
    run_id: str
    effects: Mapping[str, str]
    limit_seconds: float
    margin_seconds: float
    start_at: float | None = None
    claim: str = outside.CLAIM
    journals: Path = Path(outside.MOUNT) / JOURNALS

    @property
    def load(self) -> Load:
        """What Locust is told."""
        return Load(
            broker_url=self.broker_url,
            topology=GIVEN / TOPOLOGY_FILE,
            scenario=GIVEN / SCENARIO_FILE,
            run_id=self.run_id,
            journals=self.journals,
            effects=self.effects,
            start_at=self.start_at,
        )


def manifests(job: LoadJob) -> list[dict[str, Any]]:
    """Return a Secret with Locust's environment, a ConfigMap with topology and scenario, and the Job."""
    documents = [_environment(job), _given(job), _job(job)]
    for document in documents:
        document["metadata"] = {"namespace": job.namespace, "name": NAME, "labels": dict(LABELS)}
    return documents


def _environment(job: LoadJob) -> dict[str, Any]:
    # Some of it are URLs with passwords.
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "stringData": job.load.settings()}


def _given(job: LoadJob) -> dict[str, Any]:
    data = {TOPOLOGY_FILE: job.topology_json, SCENARIO_FILE: job.scenario_text}
    return {"apiVersion": "v1", "kind": "ConfigMap", "data": data}


def _job(job: LoadJob) -> dict[str, Any]:
    spec = {
        "backoffLimit": 0,  # a second load would be another one; Locust's exit code is for the caller
        "activeDeadlineSeconds": math.ceil(job.limit_seconds + job.margin_seconds),
        "template": {"metadata": {"labels": dict(LABELS)}, "spec": _pod(job)},
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "spec": spec}


def _pod(job: LoadJob) -> dict[str, Any]:
    volumes = [
        {"name": "effects", "persistentVolumeClaim": {"claimName": job.claim}},
        {"name": "given", "configMap": {"name": NAME}},
        {"name": "tmp", "emptyDir": {}},
    ]
    return objects.pod(UID, containers=[_container(job)], volumes=volumes, restartPolicy="Never")


def _container(job: LoadJob) -> dict[str, Any]:
    return {
        "name": NAME,
        "image": job.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "locust", *job.load.arguments(locustfile=LOCUSTFILE)],
        "envFrom": [{"secretRef": {"name": NAME}}],
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108 - in the container
        # No limit of CPU: a generator that is held back would offer another load than the scenario's.
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": objects.container_security(),
        "volumeMounts": [
            {"name": "effects", "mountPath": outside.MOUNT},
            {"name": "given", "mountPath": str(GIVEN)},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container
        ],
    }
