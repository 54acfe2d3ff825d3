"""Pure ways to look into manifests; every accessor accepts malformed objects, so that a check can report them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

Manifest = Mapping[str, Any]

CLASS_LABEL = "celery-workers/class"
TOPOLOGY_KEY = "topology.json"
REDIS_URL_VARIABLE = "CELERY_WORKERS_REDIS_URL"  # in the workers' environment, as celery_workers reads it
SCALER_KINDS = ("HorizontalPodAutoscaler", "ScaledObject")
POD_TEMPLATE_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([eE][-+]?[0-9]{1,3})|([KMGTPE]i|[numkMGTPE]))?")
_SUFFIXES: Mapping[str, Fraction] = {
    **{f"{letter}i": Fraction(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
    **{letter: Fraction(1000) ** power for power, letter in enumerate("kMGTPE", start=1)},
    **{letter: Fraction(1000) ** -power for power, letter in enumerate("mun", start=1)},
}


@dataclass(frozen=True)
class Worker:
    """The Deployment of one worker class, its container named `worker` (or its first), and its topology entry."""

    class_name: str
    deployment: Manifest
    container: Mapping[str, Any]
    topology: Mapping[str, Any]


@dataclass(frozen=True)
class Release:
    """All manifests of one render, with what most rules ask for."""

    manifests: tuple[Manifest, ...]
    topology: Mapping[str, Any]
    workers: tuple[Worker, ...] = field(repr=False)

    @classmethod
    def of(cls, manifests: Sequence[Manifest]) -> Release:
        """Return a release; a topology that is missing or no JSON counts as empty (a rule reports it)."""
        found = tuple(manifests)
        topology = _topology(found)
        return cls(found, topology, tuple(_workers(found, topology)))

    def of_kind(self, *kinds: str) -> Iterator[Manifest]:
        """Yield the objects of these kinds, in order."""
        return (manifest for manifest in self.manifests if manifest.get("kind") in kinds)

    def find(self, kind: str, name: Any, namespace: Any = None) -> Manifest | None:
        """Return the object with this name, in this namespace where one is given."""
        for manifest in self.of_kind(kind):
            if name_of(manifest) == name and namespace in (None, namespace_of(manifest)):
                return manifest
        return None


def get(value: Any, *keys: str | int, default: Any = None) -> Any:
    """Return what stands under nested keys, `default` where a step is missing, null or of another kind.

    >>> get({"a": [{"b": 1}]}, "a", 0, "b"), get({"a": 1}, "a", "b", default="none")
    (1, 'none')
    """
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
            value = value[key]
        else:
            return default
    return default if value is None else value


def items(value: Any, *keys: str | int) -> list[Any]:
    """Return the list under nested keys, empty where there is none."""
    found = get(value, *keys)
    return found if isinstance(found, list) else []


def mapping(value: Any, *keys: str | int) -> Mapping[str, Any]:
    """Return the mapping under nested keys, empty where there is none."""
    found = get(value, *keys)
    return found if isinstance(found, Mapping) else {}


def text(value: Any, *keys: str | int) -> str:
    """Return what stands under nested keys as text, whatever it is: for names that are looked up."""
    found = get(value, *keys)
    return found if isinstance(found, str) else repr(found)


def is_hook(manifest: Manifest) -> bool:
    """Whether helm makes an object only for a moment: for `helm test`, or while the release is removed.

    The chart has no hook of installing or upgrading.
    """
    return get(manifest, "metadata", "annotations", "helm.sh/hook") is not None


def name_of(manifest: Manifest) -> str:
    """Return an object's name, `?` when it has none."""
    return str(get(manifest, "metadata", "name", default="?"))


def namespace_of(manifest: Manifest) -> str:
    """Return an object's namespace, empty when it names none."""
    return str(get(manifest, "metadata", "namespace", default=""))


def ref(manifest: Manifest) -> str:
    """Return `Kind/name`."""
    return f"{manifest.get('kind', '?')}/{name_of(manifest)}"


def pod_template(manifest: Manifest) -> Mapping[str, Any] | None:
    """Return the pod template of a workload (a Pod itself counts as one), None for other objects."""
    kind = manifest.get("kind")
    if kind == "Pod":
        return manifest
    if kind == "CronJob":
        return mapping(manifest, "spec", "jobTemplate", "spec", "template")
    return mapping(manifest, "spec", "template") if kind in POD_TEMPLATE_KINDS else None


def pod_spec(manifest: Manifest) -> Mapping[str, Any]:
    """Return the pod specification of a workload, empty for other objects."""
    return mapping(pod_template(manifest), "spec")


def containers(spec: Mapping[str, Any], *, init: bool = True) -> list[Mapping[str, Any]]:
    """Return a pod specification's containers, init containers first."""
    found = (items(spec, "initContainers") if init else []) + items(spec, "containers")
    return [container for container in found if isinstance(container, Mapping)]


def matches(selector: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    """Return whether a label selector selects an object with these labels; an empty selector selects everything."""
    if any(labels.get(key) != value for key, value in mapping(selector, "matchLabels").items()):
        return False
    return all(_expression_holds(expression, labels) for expression in items(selector, "matchExpressions"))


def argument(container: Mapping[str, Any], option: str) -> str | None:
    """Return the value of `--option=value` or `--option value` in a container's command line, None when absent."""
    words = [str(word) for word in items(container, "command") + items(container, "args")]
    for index, word in enumerate(words):
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
        if word == option:
            return words[index + 1] if index + 1 < len(words) else ""
    return None


def environment(container: Mapping[str, Any]) -> dict[str, str | None]:
    """Return a container's environment; None stands for a value taken from elsewhere."""
    return {str(get(variable, "name")): get(variable, "value") for variable in items(container, "env")}


def quantity(value: Any) -> Fraction | None:
    """Return a Kubernetes quantity as an exact number, None when it is none.

    >>> quantity("200m"), quantity("2Gi"), quantity(1), quantity("1e3"), quantity("x")
    (Fraction(1, 5), Fraction(2147483648, 1), Fraction(1, 1), Fraction(1000, 1), None)
    """
    found = _QUANTITY.fullmatch(str(value))
    if found is None or isinstance(value, bool):
        return None
    return Fraction(found[1] + (found[2] or "")) * _SUFFIXES.get(found[3], Fraction(1))


def integer(value: Any) -> int | None:
    """Return a whole number, None for anything else (also true and false)."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def scale_target(scaler: Manifest) -> tuple[str, str]:
    """Return kind and name of what an HPA or ScaledObject scales (KEDA's default kind is Deployment)."""
    target = mapping(scaler, "spec", "scaleTargetRef")
    return str(target.get("kind") or "Deployment"), str(target.get("name"))


def scale_bounds(scaler: Manifest) -> tuple[int | None, int | None]:
    """Return minimum and maximum replicas of an HPA or ScaledObject, with the defaults of their controllers."""
    spec = mapping(scaler, "spec")
    if scaler.get("kind") == "ScaledObject":
        return integer(get(spec, "minReplicaCount", default=0)), integer(get(spec, "maxReplicaCount", default=100))
    return integer(get(spec, "minReplicas", default=1)), integer(get(spec, "maxReplicas"))


def _topology(manifests: Sequence[Manifest]) -> Mapping[str, Any]:
    for manifest in manifests:
        text = get(manifest, "data", TOPOLOGY_KEY) if manifest.get("kind") == "ConfigMap" else None
        if isinstance(text, str):
            try:
                return mapping(json.loads(text))
            except ValueError:
                return {}
    return {}


def _workers(manifests: Sequence[Manifest], topology: Mapping[str, Any]) -> Iterator[Worker]:
    for manifest in manifests:
        class_name = get(manifest, "metadata", "labels", CLASS_LABEL)
        if manifest.get("kind") != "Deployment" or not isinstance(class_name, str):
            continue
        found = containers(pod_spec(manifest), init=False)
        named = [container for container in found if container.get("name") == "worker"]
        container = next(iter(named or found), {})
        yield Worker(class_name, manifest, container, mapping(topology, "classes", class_name))


def _expression_holds(expression: Any, labels: Mapping[str, Any]) -> bool:
    key, operator, wanted = get(expression, "key"), get(expression, "operator"), items(expression, "values")
    if operator == "In":
        return labels.get(key) in wanted
    if operator == "NotIn":
        return labels.get(key) not in wanted
    return (key in labels) == (operator == "Exists")
