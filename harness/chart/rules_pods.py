"""Rules every object and every pod of a release keeps: names, selectors, security, resources, secrets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from harness.chart.manifests import (
    CLASS_LABEL,
    Manifest,
    Release,
    containers,
    get,
    items,
    mapping,
    matches,
    namespace_of,
    pod_spec,
    pod_template,
    quantity,
    ref,
    text,
)
from harness.chart.problems import Problem

# Pod Security `restricted`: the volume types it allows.
ALLOWED_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
ALLOWED_CAPABILITIES = frozenset({"NET_BIND_SERVICE"})
_SELECTING_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
_URL_WITH_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:(?!\$\()[^/\s@]+@")
_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY")
# An option with its value in one word, which is no variable; a line of rabbitmq.conf.
_SECRET_ARGUMENT = re.compile(r"(?i)-[^=]*(password|passwd|secret|token|api-?key|private-?key)=(?!\$\()")
_CONFIGURED_SECRET = re.compile(r"(?im)^\s*[\w.]*(pass|password|passwd|secret|token)\s*=\s*\S|://[^/\s:@]*:[^/\s@]+@")


def unique_names(release: Release) -> Iterator[Problem]:
    """No two objects have the same kind, namespace and name: one would overwrite the other."""
    counted = Counter((ref(manifest), namespace_of(manifest)) for manifest in release.manifests)
    for (reference, _), count in counted.items():
        if count > 1:
            yield Problem(reference, f"is rendered {count} times", "give each object a name of its own")


def selectors(release: Release) -> Iterator[Problem]:
    """A workload selects its own pods and no other's, and each class has its own label in the selector."""
    found = list(release.of_kind(*_SELECTING_KINDS))
    for manifest in found:
        selector = mapping(manifest, "spec", "selector")
        path = f"{ref(manifest)} spec.selector"
        if not selector or not matches(selector, _pod_labels(manifest)):
            yield Problem(path, "does not select its own pods", "use labels of spec.template.metadata.labels")
            continue
        for other in found:
            near = other is not manifest and namespace_of(other) == namespace_of(manifest)
            if near and matches(selector, _pod_labels(other)):
                yield Problem(path, f"selects the pods of {ref(other)} too", "add a label only its own pods have")
        class_name = get(manifest, "metadata", "labels", CLASS_LABEL)
        if class_name is not None and get(selector, "matchLabels", CLASS_LABEL) != class_name:
            yield Problem(path, f"lacks the label {CLASS_LABEL}: {class_name}", "select the class by its own label")


def _pod_labels(manifest: Manifest) -> Mapping[str, Any]:
    return mapping(pod_template(manifest), "metadata", "labels")


def restricted(release: Release) -> Iterator[Problem]:
    """Every pod meets Pod Security `restricted`, has a read-only root and no API token."""
    for manifest in release.manifests:
        spec = pod_spec(manifest)
        if spec:
            yield from _check_pod(ref(manifest), spec)
            for container in containers(spec):
                yield from _check_container(f"{ref(manifest)} container {container.get('name')}", container, spec)


def _check_pod(where: str, spec: Mapping[str, Any]) -> Iterator[Problem]:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield Problem(f"{where} {key}", "shares the node's namespace", "leave it out")
    if spec.get("automountServiceAccountToken") is not False:
        yield Problem(f"{where} automountServiceAccountToken", "mounts an API token no worker needs", "set false")
    for volume in items(spec, "volumes"):
        kinds = [key for key in mapping(volume) if key != "name"]
        for kind in set(kinds) - ALLOWED_VOLUMES:
            yield Problem(
                f"{where} volume {get(volume, 'name')}", f"type {kind} is not allowed by Pod Security restricted",
                f"use one of {', '.join(sorted(ALLOWED_VOLUMES))}",
            )  # fmt: skip


def _check_container(where: str, container: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[Problem]:
    own, pod = mapping(container, "securityContext"), mapping(spec, "securityContext")

    def effective(*keys: str) -> Any:
        return get(own, *keys, default=get(pod, *keys))

    path = f"{where} securityContext"
    if effective("runAsNonRoot") is not True:
        yield Problem(f"{path}.runAsNonRoot", "may run as root", "set true, on the pod or the container")
    if effective("runAsUser") == 0:
        yield Problem(f"{path}.runAsUser", "is root", "use another uid, or leave it out")
    if effective("seccompProfile", "type") not in ("RuntimeDefault", "Localhost"):
        yield Problem(f"{path}.seccompProfile", "lets every system call through", "set type RuntimeDefault")
    if own.get("allowPrivilegeEscalation") is not False:
        yield Problem(f"{path}.allowPrivilegeEscalation", "is not false", "set false")
    if own.get("privileged"):
        yield Problem(f"{path}.privileged", "gives the whole node away", "leave it out")
    if own.get("procMount") not in (None, "Default"):
        yield Problem(f"{path}.procMount", f"is {own['procMount']!r}", "leave it out")
    if "ALL" not in items(own, "capabilities", "drop"):
        yield Problem(f"{path}.capabilities.drop", "keeps capabilities", "set [ALL]")
    for capability in sorted(set(map(str, items(own, "capabilities", "add"))) - ALLOWED_CAPABILITIES):
        yield Problem(f"{path}.capabilities.add", f"adds {capability}", "leave it out")
    if own.get("readOnlyRootFilesystem") is not True:
        yield Problem(f"{path}.readOnlyRootFilesystem", "is not true", "set true and mount what is written to")
    for port in items(container, "ports"):
        if get(port, "hostPort"):
            yield Problem(f"{where} ports", f"takes the node's port {get(port, 'hostPort')}", "leave hostPort out")


def service_accounts(release: Release) -> Iterator[Problem]:
    """Where the release renders a ServiceAccount, its pods use that one (or the namespace's `default`)."""
    rendered = {str(get(manifest, "metadata", "name")) for manifest in release.of_kind("ServiceAccount")}
    for manifest in release.manifests:
        spec = pod_spec(manifest)
        name = text(spec, "serviceAccountName")
        if rendered and "serviceAccountName" in spec and name not in rendered and name != "default":
            known = ", ".join(sorted(rendered))
            yield Problem(f"{ref(manifest)} serviceAccountName", f"is {name}, rendered is {known}", "name that one")


def priority_classes(release: Release) -> Iterator[Problem]:
    """A PriorityClass of the release only lowers: the rest of the cluster goes first, and nobody gets it unasked."""
    for manifest in release.of_kind("PriorityClass"):
        value = get(manifest, "value")
        if not isinstance(value, int) or value >= 0:
            yield Problem(f"{ref(manifest)} value", f"{value} takes nodes from other pods", "set one below 0")
        if get(manifest, "globalDefault"):
            yield Problem(f"{ref(manifest)} globalDefault", "changes pods of the whole cluster", "set false")


def resources(release: Release) -> Iterator[Problem]:
    """Requests and limits are quantities, and no request is above its limit."""
    for manifest in release.manifests:
        for container in containers(pod_spec(manifest)):
            path = f"{ref(manifest)} container {container.get('name')} resources"
            limits = mapping(container, "resources", "limits")
            for side in ("requests", "limits"):
                for name, value in mapping(container, "resources", side).items():
                    amount, limit = quantity(value), quantity(limits.get(name))
                    if amount is None:
                        yield Problem(f"{path}.{side}.{name}", f"{value!r} is none", "write it as in 500m, 2Gi")
                    elif side == "requests" and limit is not None and amount > limit:
                        yield Problem(
                            f"{path}.requests.{name}", f"{value} is above the limit {limits[name]}", "lower it"
                        )


def secrets(release: Release) -> Iterator[Problem]:
    """Passwords come by reference: no Secret is rendered and no variable holds one, except in environment dev."""
    if release.topology.get("environment") == "dev":
        return
    for manifest in release.of_kind("Secret"):
        yield Problem(
                ref(manifest), "a Secret in the manifests ends up in helm's history",
            "make it outside the release and name it in the values",
        )  # fmt: skip
    for manifest in release.manifests:
        if manifest.get("kind") == "RabbitmqCluster" and _CONFIGURED_SECRET.search(
            text(get(manifest, "spec", "rabbitmq", "additionalConfig"))
        ):
            yield _plain(f"{ref(manifest)} spec.rabbitmq.additionalConfig")
        for container in containers(pod_spec(manifest)):
            for place in _plain_places(container):
                yield _plain(f"{ref(manifest)} container {container.get('name')} {place}")


def _plain_places(container: Mapping[str, Any]) -> Iterator[str]:
    """Yield where a container has a password in plain text: variables, arguments."""
    for variable in items(container, "env"):
        name, value = str(get(variable, "name")), get(variable, "value")
        named = value and _SECRET_NAME.search(name.upper())
        if isinstance(value, str) and (named or _URL_WITH_PASSWORD.search(value)):
            yield f"env {name}"
    for key in ("command", "args"):
        for position, word in enumerate(map(str, items(container, key))):
            if _SECRET_ARGUMENT.match(word) or _URL_WITH_PASSWORD.search(word):
                yield f"{key}[{position}]"


def _plain(path: str) -> Problem:
    return Problem(path, "a password in plain text", "take it from a Secret with valueFrom.secretKeyRef")
