"""What of a manifest the local runtime honours and what it leaves out. Anything else is refused by name. No I/O.

Left out on purpose, because processes on one machine have no use for it: images and their pull policy, security
contexts, service account tokens, limits (a process may use the whole machine), ports, placement (affinity, tolerations,
spread), strategy and revision history, DNS and host name settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.errors import InputError

WORKLOADS = ("Deployment", "Job")
AUTOSCALERS = ("HorizontalPodAutoscaler", "ScaledObject")
CONTENT = ("ConfigMap", "Secret")
# Objects that matter to a cluster only; queue metrics come from the harness, not by a TriggerAuthentication.
IGNORED_KINDS = frozenset(
    {
        "ServiceAccount",
        "Service",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "TriggerAuthentication",
        "Role",
        "RoleBinding",
        "Namespace",
        "ServiceMonitor",
        "PodMonitor",
        "PrometheusRule",
    }
)

_DEPLOYMENT = ("replicas", "selector", "template")
_DEPLOYMENT_IGNORED = ("strategy", "revisionHistoryLimit", "minReadySeconds", "progressDeadlineSeconds")
_JOB = ("template", "backoffLimit", "activeDeadlineSeconds")
_JOB_IGNORED = ("ttlSecondsAfterFinished", "completionMode", "podReplacementPolicy", "selector", "manualSelector")
_POD = ("containers", "volumes", "terminationGracePeriodSeconds", "restartPolicy", "serviceAccountName")
_POD_IGNORED = (
    "securityContext",
    "serviceAccount",
    "automountServiceAccountToken",
    "affinity",
    "nodeSelector",
    "tolerations",
    "topologySpreadConstraints",
    "priorityClassName",
    "priority",
    "preemptionPolicy",
    "imagePullSecrets",
    "schedulerName",
    "enableServiceLinks",
    "dnsPolicy",
    "dnsConfig",
    "hostname",
    "hostUsers",
    "runtimeClassName",
)
_CONTAINER = (
    "name",
    "command",
    "args",
    "env",
    "envFrom",
    "volumeMounts",
    "workingDir",
    "resources",
    "lifecycle",
    "startupProbe",
    "livenessProbe",
    "readinessProbe",
)
_CONTAINER_IGNORED = (
    "image",
    "imagePullPolicy",
    "securityContext",
    "ports",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "stdin",
    "stdinOnce",
    "tty",
)


def check_deployment(manifest: Mapping[str, Any]) -> None:
    """Raise InputError for anything in a Deployment that would have to be ignored silently."""
    where, spec = described(manifest), manifest["spec"]
    _only(spec, (*_DEPLOYMENT, *_DEPLOYMENT_IGNORED), f"{where}: spec")
    check_pod(spec["template"]["spec"], where)
    if spec["template"]["spec"].get("restartPolicy", "Always") != "Always":
        raise InputError(f"{where}: spec.template.spec.restartPolicy: a Deployment's must be Always")


def check_job(manifest: Mapping[str, Any]) -> None:
    """Raise InputError for anything in a Job that would have to be ignored silently."""
    where, spec = described(manifest), manifest["spec"]
    for count in ("completions", "parallelism"):
        if spec.get(count) not in (None, 1):
            raise InputError(f"{where}: spec.{count}: the local runtime runs a Job once, so it must be 1")
    if spec.get("suspend"):
        raise InputError(f"{where}: spec.suspend: the local runtime would wait for a suspended Job for ever")
    _only(spec, (*_JOB, *_JOB_IGNORED, "completions", "parallelism", "suspend"), f"{where}: spec")
    check_pod(spec["template"]["spec"], where)
    if spec["template"]["spec"].get("restartPolicy") not in ("Never", "OnFailure"):
        raise InputError(f"{where}: spec.template.spec.restartPolicy: a Job's must be Never or OnFailure")


def check_pod(spec: Mapping[str, Any], where: str) -> None:
    """Raise InputError for a pod spec this runtime cannot honour."""
    _only(spec, (*_POD, *_POD_IGNORED), f"{where}: spec.template.spec")
    for container in spec["containers"]:
        place = f"{where}: container {container.get('name')}"
        _only(container, (*_CONTAINER, *_CONTAINER_IGNORED), place)
        if not container.get("command"):
            raise InputError(f"{place}: command is missing; the image's own is not known on this machine, so name it")
        _check_lifecycle(container.get("lifecycle") or {}, place)
        for mount in container.get("volumeMounts") or ():
            allowed = ("name", "mountPath", "subPath", "readOnly", "recursiveReadOnly", "mountPropagation")
            _only(mount, allowed, f"{place}: volumeMounts {mount.get('name')}")


def _check_lifecycle(lifecycle: Mapping[str, Any], where: str) -> None:
    _only(lifecycle, ("preStop",), f"{where}: lifecycle")
    _only(lifecycle.get("preStop") or {}, ("exec", "sleep"), f"{where}: lifecycle.preStop")


def _only(found: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Refuse keys that carry something and are not known."""
    unknown = sorted(key for key in set(found) - set(known) if found[key] not in (None, False, [], {}))
    if unknown:
        raise InputError(f"{where}: the local runtime cannot honour {', '.join(unknown)}; use a cluster for it")


def described(manifest: Mapping[str, Any]) -> str:
    """Return a manifest's kind and name."""
    return f"{manifest.get('kind')} {manifest.get('metadata', {}).get('name')}"
