"""Reading autoscaling/v2 manifests: defaults and refusals."""

import copy

import pytest

from harness.autoscaling import (
    ControllerConfig,
    ExternalMetric,
    HpaSpec,
    PodsMetric,
    Policy,
    ResourceMetric,
    ScalingRules,
)
from tests.unit.autoscaling.builders import external, hpa, manifest, pods_metric, resource, rules


def test_defaults_of_the_api_server():
    document = manifest(minimum=None)
    document["spec"]["metrics"] = []
    spec = HpaSpec.from_manifest(document)
    assert spec.min_replicas == 1
    assert spec.metrics == (ResourceMetric("cpu", 80),)
    assert spec.behavior is None
    assert (spec.tolerance_down, spec.tolerance_up) == (0.1, 0.1)


def test_every_kind_of_metric():
    spec = hpa(
        resource("cpu", percent=50),
        resource("memory", average="1Gi"),
        pods_metric("jobs", average="12500m"),
        external("deep", average="200"),
        external("late", value="30"),
    )
    assert spec.metrics == (
        ResourceMetric("cpu", 50),
        ResourceMetric("memory", None, 2**30 * 1000),
        PodsMetric("jobs", 12_500),
        ExternalMetric("deep", 200_000),
        ExternalMetric("late", None, 30_000),
    )


def test_an_empty_behavior_is_filled_on_both_sides():
    behavior = hpa(behavior={}).behavior
    assert behavior.scale_up == ScalingRules(
        stabilization_window_seconds=0, select="Max", policies=(Policy("Pods", 4, 15), Policy("Percent", 100, 15))
    )
    assert behavior.scale_down == ScalingRules(
        stabilization_window_seconds=300, select="Max", policies=(Policy("Percent", 100, 15),)
    )


def test_what_a_rule_says_stays_and_the_rest_is_filled():
    behavior = hpa(behavior={"scaleDown": rules(("Pods", 1, 600), window=900)}).behavior
    assert behavior.scale_down.policies == (Policy("Pods", 1, 600),)
    assert behavior.scale_down.stabilization_window_seconds == 900
    assert behavior.scale_down.select == "Max"
    assert behavior.scale_up.stabilization_window_seconds == 0
    assert hpa(behavior={"scaleUp": rules(window=0)}).behavior.scale_up.policies[0] == Policy("Pods", 4, 15)


def test_down_window_defaults_to_the_controllers_flag():
    controller = ControllerConfig(downscale_stabilization_seconds=60)
    assert hpa(behavior={}, controller=controller).behavior.scale_down.stabilization_window_seconds == 60


def test_tolerance_of_one_direction_and_its_gate():
    behavior = {"scaleUp": {"tolerance": "0.05"}, "scaleDown": {}}
    spec = hpa(behavior=behavior)
    assert (spec.tolerance_down, spec.tolerance_up) == (0.1, 0.05)
    closed = hpa(behavior=behavior, controller=ControllerConfig(configurable_tolerance=False))
    assert closed.tolerance_up == 0.1


def changed(path, value, *, delete=False):
    document = copy.deepcopy(manifest(external(average="200"), behavior={"scaleUp": rules(("Pods", 3, 60))}))
    *parents, last = path
    node = document
    for key in parents:
        node = node[key]
    if delete:
        del node[last]
    else:
        node[last] = value
    return document


METRIC = ("spec", "metrics", 0)
UP = ("spec", "behavior", "scaleUp")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("apiVersion",), "autoscaling/v1", "apiVersion must be autoscaling/v2"),
        (("spec",), None, "spec is missing"),
        (("spec", "maxReplicas"), None, "spec.maxReplicas is missing"),
        (("spec", "maxReplicas"), 0, "spec.maxReplicas is 0, must be a whole number from 1"),
        (("spec", "maxReplicas"), "5", "spec.maxReplicas is '5'"),
        (("spec", "maxReplicas"), True, "spec.maxReplicas is True"),
        (("spec", "minReplicas"), 101, "spec.maxReplicas is 100, below spec.minReplicas 101"),
        (("spec", "scaleTargetRef", "name"), "", "spec.scaleTargetRef.name must be a text"),
        (("spec", "metrics"), "cpu", "spec.metrics must be a list"),
        ((*METRIC, "type"), "Object", r"spec.metrics\[0\].type is 'Object'; Resource, Pods and External are modelled"),
        ((*METRIC, "external"), None, r"spec.metrics\[0\].external is missing"),
        ((*METRIC, "external", "metric", "name"), None, "external.metric.name is missing"),
        ((*METRIC, "external", "target", "type"), "Average", "target.type is 'Average'"),
        ((*METRIC, "external", "target", "averageValue"), "0", "averageValue is '0', must be above 0"),
        ((*METRIC, "external", "target", "averageValue"), None, "needs either value or averageValue"),
        ((*METRIC, "external", "target", "value"), "3", "needs either value or averageValue"),
        ((*UP, "policies"), [], "policies is empty"),
        ((*UP, "selectPolicy"), "Fast", "selectPolicy is 'Fast', must be one of Max, Min, Disabled"),
        ((*UP, "stabilizationWindowSeconds"), 3601, "whole number from 0 to 3600"),
        ((*UP, "policies", 0, "type"), "Pod", "type is 'Pod', must be one of Pods, Percent"),
        ((*UP, "policies", 0, "value"), 0, r"policies\[0\].value is 0"),
        ((*UP, "policies", 0, "periodSeconds"), 1801, "whole number from 1 to 1800"),
        ((*UP, "tolerance"), "-1", "must not be negative"),
    ],
)
def test_refuses_naming_the_key(path, value, message):
    with pytest.raises(ValueError, match=message) as caught:
        HpaSpec.from_manifest(changed(path, value))
    assert str(caught.value).startswith("HorizontalPodAutoscaler hpa: ")


def test_scale_to_zero_needs_an_external_metric():
    assert hpa(external(average="1"), minimum=0).min_replicas == 0
    with pytest.raises(ValueError, match="needs an External metric"):
        hpa(resource(percent=50), minimum=0)


def test_two_external_metrics_of_one_name_are_refused():
    with pytest.raises(ValueError, match="names an External metric twice"):
        hpa(external(average="1"), external(value="1"))


def test_a_resource_needs_exactly_one_target():
    broken = resource(percent=50)
    broken["resource"]["target"]["averageValue"] = "1"
    with pytest.raises(ValueError, match="needs either averageUtilization or averageValue"):
        hpa(broken)
