"""What the local runtime makes of a release's manifests, before anything starts."""

from __future__ import annotations

import base64
from copy import deepcopy
from typing import Any

import pytest

from harness.errors import InputError
from harness.runtime.base import Release
from harness.runtime.local.objects import sort_release
from harness.runtime.local.template import PodTemplate

DEPLOYMENT: dict[str, Any] = {
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 1,
        "selector": {},
        "strategy": {"type": "Recreate"},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "securityContext": {"runAsNonRoot": True},
                "tolerations": [{"key": "x"}],
                "hostNetwork": False,
                "containers": [
                    {
                        "name": "worker",
                        "image": "x",
                        "command": ["celery"],
                        "ports": [{"containerPort": 1}],
                        "resources": {"requests": {"cpu": "200m"}, "limits": {"cpu": "1", "memory": "2Gi"}},
                    }
                ],
            },
        },
    },
}
JOB: dict[str, Any] = {
    "kind": "Job",
    "metadata": {"name": "setup"},
    "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "j", "command": ["true"]}]}}},
}


def changed(manifest: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy with one value set; numbers in the dotted path are places in lists."""
    result = deepcopy(manifest)
    place: Any = result
    *parents, last = path.split(".")
    for key in parents:
        place = place[int(key)] if isinstance(place, list) else place[key]
    place[last] = value
    return result


def sorted_release(*manifests: dict[str, Any], secrets: dict[str, dict[str, str]] | None = None) -> Any:
    return sort_release(Release("r", "default", manifests, secrets or {}))


def hpa(name: str, target: str, kind: str = "HorizontalPodAutoscaler") -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name}, "spec": {"scaleTargetRef": {"name": target}}}


def test_objects_are_sorted_and_the_release_s_secrets_win() -> None:
    encoded = base64.b64encode(b"rendered").decode()
    objects = sorted_release(
        DEPLOYMENT,
        JOB,
        {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}, "binaryData": {"b": encoded}},
        {"kind": "Secret", "metadata": {"name": "s"}, "data": {"k": encoded}, "stringData": {"t": "text"}},
        {"kind": "Secret", "metadata": {"name": "mine"}, "stringData": {"k": "rendered"}},
        {"kind": "NetworkPolicy", "metadata": {"name": "n"}},
        hpa("web", "web"),
        secrets={"mine": {"k": "given"}},
    )
    assert [each["metadata"]["name"] for each in objects.deployments] == ["web"]
    assert [each["metadata"]["name"] for each in objects.jobs] == ["setup"]
    assert objects.sources.config_maps == {"c": {"a": b"1", "b": b"rendered"}}
    assert objects.sources.secrets == {"s": {"k": b"rendered", "t": b"text"}, "mine": {"k": b"given"}}
    assert len(objects.autoscalers) == 1


def test_the_embedded_broker_and_test_hooks_are_left_out_and_said_so() -> None:
    broker = changed(DEPLOYMENT, "metadata", {"name": "mq", "labels": {"app.kubernetes.io/component": "rabbitmq"}})
    hook = changed(JOB, "metadata", {"name": "try", "annotations": {"helm.sh/hook": "test"}})
    installed = changed(
        JOB, "metadata", {"name": "first", "annotations": {"helm.sh/hook": "post-install,post-upgrade"}}
    )
    objects = sorted_release(DEPLOYMENT, broker, hook, installed)
    assert len(objects.deployments) == 1
    assert [each["metadata"]["name"] for each in objects.jobs] == ["first"]
    assert objects.skipped == ("Deployment mq: the broker comes from the harness", "Job try: a helm hook for test")


def test_the_embedded_broker_s_secret_has_to_be_filled_with_this_machine_s() -> None:
    labels = {"app.kubernetes.io/component": "rabbitmq"}
    secret = {
        "kind": "Secret",
        "metadata": {"name": "celery-rabbitmq", "labels": labels},
        "stringData": {"k": "mq:5672"},
    }
    with pytest.raises(InputError, match="Secret celery-rabbitmq is the embedded broker's"):
        sorted_release(DEPLOYMENT, secret)
    objects = sorted_release(DEPLOYMENT, secret, secrets={"celery-rabbitmq": {"k": "127.0.0.1"}})
    assert objects.sources.secrets["celery-rabbitmq"] == {"k": b"127.0.0.1"}


POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"


@pytest.mark.parametrize(
    ("manifest", "path", "value", "message"),
    [
        (DEPLOYMENT, "spec.paused", True, "Deployment web: spec: the local runtime cannot honour paused"),
        (DEPLOYMENT, f"{POD}.hostNetwork", True, "cannot honour hostNetwork"),
        (DEPLOYMENT, f"{POD}.initContainers", [{"name": "i"}], "cannot honour initContainers"),
        (DEPLOYMENT, f"{POD}.restartPolicy", "Never", "must be Always"),
        (DEPLOYMENT, f"{CONTAINER}.command", None, "container worker: command is missing"),
        (
            DEPLOYMENT,
            f"{CONTAINER}.volumeDevices",
            [{"name": "x"}],
            "container worker: the local runtime cannot honour",
        ),
        (DEPLOYMENT, f"{CONTAINER}.lifecycle", {"postStart": {"exec": {}, "x": 1}}, "cannot honour postStart"),
        (DEPLOYMENT, f"{CONTAINER}.lifecycle", {"preStop": {"httpGet": {"port": 1}}}, "cannot honour httpGet"),
        (
            DEPLOYMENT,
            f"{CONTAINER}.volumeMounts",
            [{"name": "v", "mountPath": "/x", "subPathExpr": "$(A)"}],
            "volumeMounts v: the local runtime cannot honour subPathExpr",
        ),
        (JOB, "spec.parallelism", 3, "Job setup: spec.parallelism"),
        (JOB, "spec.suspend", True, "spec.suspend"),
        (JOB, "spec.podFailurePolicy", {"rules": [1]}, "cannot honour podFailurePolicy"),
        (JOB, f"{POD}.restartPolicy", "Always", "must be Never or OnFailure"),
        (DEPLOYMENT, "kind", "StatefulSet", "StatefulSet web: the local runtime does not know this kind"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    manifest: dict[str, Any], path: str, value: Any, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        sorted_release(changed(manifest, path, value))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("autoscalers", "message"),
    [
        ([hpa("a", "none")], "scales Deployment none, which is not rendered"),
        ([hpa("a", "web"), hpa("b", "web", "ScaledObject")], "HorizontalPodAutoscaler a scales Deployment web already"),
        ([changed(hpa("a", "web"), "spec.scaleTargetRef.kind", "StatefulSet")], "scales a StatefulSet"),
    ],
)
def test_an_autoscaler_needs_a_deployment_of_its_own(autoscalers: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError) as caught:
        sorted_release(DEPLOYMENT, *autoscalers)
    assert message in str(caught.value)


def template(manifest: dict[str, Any]) -> PodTemplate:
    objects = sorted_release(manifest)
    return PodTemplate.from_workload(manifest, namespace="default", sources=objects.sources)


def test_requests_default_to_limits_and_grace_to_thirty_seconds() -> None:
    read = template(DEPLOYMENT)
    assert read.requests_milli() == {"cpu": 200, "memory": 2 * 2**30 * 1000}
    assert read.grace_seconds == 30
    assert template(changed(DEPLOYMENT, f"{POD}.terminationGracePeriodSeconds", 0)).grace_seconds == 0


def test_a_resource_that_one_container_does_not_request_is_not_requested() -> None:
    other = {"name": "side", "command": ["true"], "resources": {"requests": {"cpu": "50m"}}}
    containers = [*DEPLOYMENT["spec"]["template"]["spec"]["containers"], other]
    assert template(changed(DEPLOYMENT, f"{POD}.containers", containers)).requests_milli() == {"cpu": 250}


def test_a_broken_quantity_is_told_before_anything_starts() -> None:
    with pytest.raises(InputError, match="Deployment web: resources: not a Kubernetes quantity"):
        template(changed(DEPLOYMENT, f"{CONTAINER}.resources", {"requests": {"cpu": "much"}}))
