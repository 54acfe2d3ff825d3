"""Kubernetes and KEDA schemas: the hand-written release passes, each misspelling is found."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from harness.chart import custom_resources, keda_triggers, kubernetes_schema, validate
from harness.chart.problems import Problem
from harness.errors import InputError
from tests.unit.chart import releases

Change = Callable[[dict[str, Any]], Any]


def kubernetes(manifest: dict[str, Any]) -> list[Problem] | None:
    return kubernetes_schema.check_versions(manifest, kubernetes_schema.supported_versions())


def test_the_supported_versions_reach_from_the_oldest_to_the_newest_schemas() -> None:
    versions = kubernetes_schema.supported_versions()
    assert versions[0] == ".".join(map(str, kubernetes_schema.OLDEST))
    assert list(versions) == [f"1.{minor}" for minor in range(29, 29 + len(versions))]
    assert "1.37" in versions


def test_the_good_release_fits_every_version() -> None:
    checks = validate.check_manifests(releases.release())
    assert [problem.text() for check in checks for problem in check.problems] == []
    assert [(check.name, check.status) for check in checks] == [
        ("kubernetes", "passed"), ("keda", "passed"), ("invariants", "passed"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        (lambda d: d["spec"].update(replica=3), "spec", "('replica' was unexpected)"),
        (lambda d: d["spec"].update(replicas="3"), "spec.replicas", "'3' is not of type 'integer'"),
        (lambda d: d["spec"]["template"]["spec"]["containers"][0].update(comand=["x"]),
         "spec.template.spec.containers[0]", "'comand' was unexpected"),
        (lambda d: d["spec"]["template"]["spec"]["containers"][0].pop("name"),
         "spec.template.spec.containers[0]", "'name' is a required property"),
        (lambda d: d["spec"].pop("selector"), "spec", "'selector' is a required property"),
    ],
)  # fmt: skip
def test_a_wrong_field_of_a_deployment_is_found_in_every_version(change: Change, path: str, message: str) -> None:
    manifest = releases.deployment("io")
    change(manifest)
    found = kubernetes(manifest)
    assert found is not None
    assert [problem.path for problem in found] == [path]
    assert message in found[0].message
    assert "Kubernetes" not in found[0].message  # not said where it holds for all


def test_what_only_some_versions_have_is_reported_with_them() -> None:
    manifest = releases.deployment("io")
    manifest["spec"]["template"]["spec"]["resources"] = {"requests": {"cpu": "1"}}  # pods have it from 1.32
    (problem,) = kubernetes(manifest) or []
    assert problem.message.endswith("(Kubernetes 1.29 to 1.31)")


def test_a_kind_that_is_gone_is_reported_and_an_unknown_one_is_not_checked() -> None:
    old = {"apiVersion": "flowcontrol.apiserver.k8s.io/v1beta3", "kind": "FlowSchema", "metadata": {"name": "x"}}
    (problem,) = kubernetes(old) or []
    assert problem.message.startswith("Kubernetes 1.32 to 1.37 has no flowcontrol.apiserver.k8s.io/v1beta3 FlowSchema")
    unknown = {"apiVersion": "rabbitmq.com/v1beta1", "kind": "RabbitmqCluster", "metadata": {"name": "x"}}
    assert kubernetes(unknown) is None
    assert kubernetes({"apiVersion": "../../v1", "kind": "Pod"}) is None
    check = validate.check_manifests([*releases.release(), unknown])[2]
    assert (check.status, check.subject) == ("not checked", "no schema here for RabbitmqCluster")


def test_versions_can_be_chosen() -> None:
    assert kubernetes_schema.choose_versions(["v1.33.2", "1.30"]) == ("1.30", "1.33")
    assert kubernetes_schema.choose_versions([]) == kubernetes_schema.supported_versions()
    with pytest.raises(InputError, match=r"no schemas for Kubernetes 1\.99: use one of"):
        kubernetes_schema.choose_versions(["1.99"])


def depth(scaled_object: dict[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Any] = scaled_object["spec"]["triggers"][0]["metadata"]
    return metadata


def scaling(scaled_object: dict[str, Any]) -> dict[str, Any]:
    configuration: dict[str, Any] = scaled_object["spec"]["advanced"]["horizontalPodAutoscalerConfig"]
    return configuration


def keda(manifest: dict[str, Any]) -> list[str]:
    (provider,) = [provider for provider in custom_resources.definitions() if provider.knows(manifest)]
    return [problem.text() for problem in (*provider.check(manifest), *keda_triggers.check(manifest))]


KEDA_CASES: list[tuple[Change, str]] = [
    (lambda o: o["spec"].update(minReplicas=1), "spec: Additional properties are not allowed ('minReplicas'"),
    (lambda o: o["spec"].update(maxReplicaCount=0), "spec.maxReplicaCount: 0 is less than the minimum"),
    (lambda o: o["spec"].update(triggers=[]), "spec.triggers: [] should be non-empty"),
    (lambda o: o["spec"].pop("scaleTargetRef"), "spec: 'scaleTargetRef' is a required property"),
    (lambda o: o.update(apiVersion="keda.sh/v1"), "does not serve keda.sh/v1; use keda.sh/v1alpha1"),
    (lambda o: depth(o).update(value=8), "spec.triggers[0].metadata.value: 8 is not of type"),
    (lambda o: depth(o).update(value="0"), "metadata.value: '0' is no positive number"),
    (lambda o: depth(o).update(queue="x"), "metadata.queue: KEDA does not read it"),
    (lambda o: depth(o).pop("mode"), "spec.triggers[0].metadata.mode: is missing"),
    (lambda o: depth(o).update(mode="Depth"), "metadata.mode: 'Depth' is none"),
    (lambda o: depth(o).update(protocol="tcp"), "metadata.protocol: 'tcp' is none"),
    (lambda o: o["spec"]["triggers"][1]["metadata"].update(protocol="amqp"), "needs the management API; use http"),
    (lambda o: o["spec"]["triggers"][0].update(metricType="Utilization"), "Utilization is not possible for rabbitmq"),
    (lambda o: o["spec"]["triggers"][2].pop("metricType"), "metricType: None is not possible for cpu"),
    (lambda o: o["spec"]["triggers"][2].update(type="gpu"), "spec.triggers[2].type: 'gpu' is not known here"),
    (lambda o: o["spec"]["triggers"].append({"type": "prometheus", "metadata": {"serverAdress": "http://p"}}),
     "spec.triggers[3].metadata.serverAdress: KEDA does not read it"),
    (lambda o: o["spec"]["triggers"].append({"type": "cron", "metadata": {"start": "0 8 * * *"}}),
     "spec.triggers[3].metadata.timezone: is missing"),
    (lambda o: scaling(o).update(behaviour={}), "('behaviour' was unexpected)"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), KEDA_CASES)
def test_a_wrong_scaled_object_is_found(change: Change, message: str) -> None:
    manifest = copy.deepcopy(releases.scaled_object())
    change(manifest)
    found = keda(manifest)
    assert any(message in text for text in found), found


def test_a_trigger_authentication_names_parameter_secret_and_key() -> None:
    manifest = releases.authentication()
    assert keda(manifest) == []
    del manifest["spec"]["secretTargetRef"][0]["key"]
    (problem,) = keda(manifest)
    assert problem.startswith("spec.secretTargetRef[0]: 'key' is a required property")


def monitor(**spec: Any) -> dict[str, Any]:
    whole = {"selector": {"matchLabels": {"app": "x"}}, "podMetricsEndpoints": [{"port": "metrics"}], **spec}
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": {"name": "x"}, "spec": whole}


@pytest.mark.parametrize(
    ("manifest", "messages"),
    [
        (monitor(), []),
        (monitor(podMetricsEndpoints=[{"port": "metrics", "intervall": "30s"}]), ["'intervall' was unexpected"]),
        (monitor(podMetricsEndpoints=[{"interval": "half a minute"}]), ["does not match"]),
        (monitor(podMetricsEndpoints=[{"targetPort": 9}, {"targetPort": "metrics"}]), []),
        (monitor(podMetricsEndpoints=[{"targetPort": True}]), ["True is not of type 'integer', 'string'"]),
        (monitor(selector=None), ["None is not of type 'object'"]),
        ({**monitor(), "apiVersion": "monitoring.coreos.com/v2"}, ["does not serve monitoring.coreos.com/v2"]),
        ({**monitor(), "kind": "PrometheusRule", "spec": {"groups": [{"name": "x", "rules": [{"alert": "A"}]}]}},
         ["'expr' is a required property"]),
    ],
)  # fmt: skip
def test_objects_of_the_prometheus_operator_are_checked_strictly(manifest: dict[str, Any], messages: list[str]) -> None:
    (check,) = [check for check in validate.check_manifests([manifest]) if check.name == "prometheus-operator"]
    assert len(check.problems) == len(messages)
    assert all(message in problem.message for message, problem in zip(messages, check.problems, strict=True))
