"""What an autoscaler on a cluster sees, read through the API as its controller reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from harness.autoscaling.duration import duration_seconds
from harness.autoscaling.quantity import format_milli, parse_milli
from harness.cluster.api import Api
from harness.errors import HarnessError, InputError

PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "ReplicaSet": "replicasets"}
RESOURCES = ("cpu", "memory")
HPAS = ("autoscaling/v2", "horizontalpodautoscalers")

Document = dict[str, Any]
Seen = Mapping[str, Any]


class Recorder:
    """Looks at one HorizontalPodAutoscaler and what it reads. One thread at a time."""

    def __init__(self, api: Api, *, namespace: str, name: str, clock: Callable[[], float]) -> None:
        """Read the autoscaler; `clock` gives Unix time.

        Raises HarnessError when it cannot be read, InputError for a target or a metric that is not recorded.
        """
        self._api, self._namespace, self._name, self._clock = api, namespace, name, clock
        self.manifest: Document = api.get(*HPAS, namespace, name)
        self._target = _target(self.manifest)
        metrics = self.manifest["spec"].get("metrics", [])
        other = [one["type"] for one in metrics if one["type"] not in ("Resource", "External")]
        if other:
            raise InputError(f"autoscaler {name}: {other[0]} metrics are not recorded, only Resource and External ones")
        self._external = [_external(one["external"]["metric"]) for one in metrics if one["type"] == "External"]

    def look(self) -> Document:
        """Return what is to be seen now, as `harness.autoscaling.replay` reads it, with the autoscaler's status.

        A metrics API that does not answer makes its metrics unavailable, as for the controller. Raises HarnessError
        when the target, its pods or the autoscaler cannot be read.
        """
        scale = self._api.scale(*self._target[:2], self._namespace, self._target[2])
        selector = str(scale["status"].get("selector", ""))
        pods = self._api.objects("v1", "pods", self._namespace, selector)
        samples, unavailable = self._samples(selector)
        external: dict[str, list[str]] = {}
        for name, metric_selector in self._external:
            try:
                items = self._api.external_metric(self._namespace, name, metric_selector)
                external[name] = [item["value"] for item in items]
            except HarnessError:
                unavailable.append(name)
        # The status last: once it shows a sync, the observation before this one was made before that sync.
        status = self._api.get(*HPAS, self._namespace, self._name).get("status", {})
        return {
            "t": self._clock(),
            "replicas": {"spec": scale["spec"].get("replicas", 0), "status": scale["status"].get("replicas", 0)},
            "pods": [pod_document(pod, samples.get(pod["metadata"]["name"])) for pod in pods],
            "external": external,
            "unavailable": unavailable,
            "status": status,
        }

    def _samples(self, selector: str) -> tuple[dict[str, Seen], list[str]]:
        """Return the pods' samples by name, and the resources that are unavailable."""
        try:
            items = self._api.objects("metrics.k8s.io/v1beta1", "pods", self._namespace, selector)
        except HarnessError:
            return {}, [*RESOURCES]
        return {item["metadata"]["name"]: item for item in items}, []


def pod_document(pod: Seen, sample: Seen | None) -> Document:
    """Return a pod as an observation has it; `sample` is its item of metrics.k8s.io, if there is one."""
    status = pod.get("status", {})
    condition = next((one for one in status.get("conditions", ()) if one["type"] == "Ready"), None)
    document = {
        "name": pod["metadata"]["name"],
        "phase": status.get("phase", "Pending"),
        "startTime": _seconds(status.get("startTime")),
        "ready": None if condition is None else condition["status"] == "True",
        "lastTransition": None if condition is None else _seconds(condition.get("lastTransitionTime")),
        "requests": _sums([one.get("resources", {}).get("requests", {}) for one in _containers(pod["spec"])]),
        "deleting": "deletionTimestamp" in pod["metadata"],
    }
    if sample is not None:
        document |= {
            "usage": _sums([one["usage"] for one in sample["containers"]]),
            "timestamp": _seconds(sample["timestamp"]),
            "window": duration_seconds(sample["window"]),
        }
    return document


def _target(manifest: Seen) -> tuple[str, str, str]:
    """Return API group and version, plural and name of what is scaled."""
    target = manifest["spec"]["scaleTargetRef"]
    kind, group_version = target["kind"], target.get("apiVersion", "apps/v1")
    if kind not in PLURALS or not group_version.startswith("apps/"):
        raise InputError(
            f"autoscaler {manifest['metadata']['name']} scales a {kind} of {group_version}; "
            f"recorded is what scales a {', '.join(PLURALS)} of apps/v1"
        )
    return group_version, PLURALS[kind], target["name"]


def _external(identifier: Seen) -> tuple[str, str]:
    """Return an external metric's name and its selector as a query has it."""
    selector = identifier.get("selector") or {}
    if selector.get("matchExpressions"):
        raise InputError(f"external metric {identifier['name']}: matchExpressions are not recorded, only matchLabels")
    return identifier["name"], ",".join(f"{key}={value}" for key, value in selector.get("matchLabels", {}).items())


def _containers(spec: Seen) -> Iterable[Seen]:
    """Yield those whose requests count: the containers and the sidecars (replica_calculator.go)."""
    yield from spec["containers"]
    yield from (one for one in spec.get("initContainers", ()) if one.get("restartPolicy") == "Always")


def _sums(lists: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Add up containers; a resource that one of them lacks is left out, as it fails the whole pod."""
    return {
        name: format_milli(sum(parse_milli(one[name]) for one in lists))
        for name in RESOURCES
        if lists and all(name in one for one in lists)
    }


def _seconds(stamp: str | None) -> float | None:
    return None if stamp is None else datetime.fromisoformat(stamp).timestamp()
