"""What one HorizontalPodAutoscaler says, with every default filled in as the API server and the controller fill it.

Defaults: pkg/apis/autoscaling/v2/defaults.go; refusals: pkg/apis/autoscaling/validation (Kubernetes 1.34).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from harness.autoscaling.fields import choice, integer, mapping, name_of, sequence, text
from harness.autoscaling.quantity import approximate_float, parse_milli

NANOSECONDS = 1_000_000_000

Select = Literal["Max", "Min", "Disabled"]
PolicyKind = Literal["Pods", "Percent"]

DEFAULT_CPU_UTILIZATION_PERCENT = 80
MAX_PERIOD_SECONDS = 1800
MAX_STABILIZATION_WINDOW_SECONDS = 3600


@dataclass(frozen=True, kw_only=True)
class ControllerConfig:
    """The flags of kube-controller-manager that change decisions, at their defaults."""

    sync_seconds: float = 15.0
    tolerance: float = 0.1
    downscale_stabilization_seconds: int = 300
    cpu_initialization_seconds: float = 300.0
    initial_readiness_delay_seconds: float = 30.0
    configurable_tolerance: bool = True
    """Whether `behavior.*.tolerance` counts: the gate HPAConfigurableTolerance, off in Kubernetes 1.33 and 1.34."""


@dataclass(frozen=True)
class ResourceMetric:
    """CPU or memory of the pods, against their requests (`target_percent`) or a fixed amount a pod; one is None."""

    name: str
    target_percent: int | None = None
    target_average_milli: int | None = None


@dataclass(frozen=True)
class PodsMetric:
    """A metric each pod reports about itself, against an average."""

    name: str
    target_average_milli: int


@dataclass(frozen=True)
class ExternalMetric:
    """A number from outside the cluster, against a share a pod (`target_average_milli`) or as a whole; one is None."""

    name: str
    target_average_milli: int | None = None
    target_value_milli: int | None = None


Metric = ResourceMetric | PodsMetric | ExternalMetric


@dataclass(frozen=True)
class Policy:
    """At most `value` pods, or per cent of them, in `period_seconds`."""

    kind: PolicyKind
    value: int
    period_seconds: int


@dataclass(frozen=True, kw_only=True)
class ScalingRules:
    """One direction's rules."""

    stabilization_window_seconds: int
    select: Select
    policies: tuple[Policy, ...]
    tolerance: float | None = None

    @property
    def longest_period_seconds(self) -> int:
        """How long an event of this direction can matter to it."""
        return max(policy.period_seconds for policy in self.policies)


@dataclass(frozen=True)
class Behavior:
    """Both directions' rules, complete."""

    scale_up: ScalingRules
    scale_down: ScalingRules


DEFAULT_SCALE_UP = ScalingRules(
    stabilization_window_seconds=0,
    select="Max",
    policies=(Policy("Pods", 4, 15), Policy("Percent", 100, 15)),
)


def default_scale_down(controller: ControllerConfig) -> ScalingRules:
    """Return the downward rules of a `behavior` that says nothing about them."""
    return ScalingRules(
        stabilization_window_seconds=controller.downscale_stabilization_seconds,
        select="Max",
        policies=(Policy("Percent", 100, 15),),
    )


@dataclass(frozen=True, kw_only=True)
class HpaSpec:
    """One autoscaler, ready to decide. `behavior` None means the controller's older path without rules."""

    name: str
    target_kind: str
    target_name: str
    max_replicas: int
    min_replicas: int = 1
    metrics: tuple[Metric, ...] = (ResourceMetric("cpu", DEFAULT_CPU_UTILIZATION_PERCENT),)
    behavior: Behavior | None = None
    controller: ControllerConfig = field(default_factory=ControllerConfig)

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any], *, controller: ControllerConfig | None = None) -> HpaSpec:
        """Read an autoscaling/v2 manifest; `controller` defaults to the controller's own defaults.

        Raises ValueError naming the object, the key and what is allowed: for what the API server would refuse, and for
        the two metric sources that are not modelled (Object, ContainerResource).
        """
        name = name_of(manifest)
        try:
            return _read(name, manifest, controller or ControllerConfig())
        except ValueError as error:
            raise ValueError(f"HorizontalPodAutoscaler {name}: {error}") from None

    @property
    def tolerance_up(self) -> float:
        """By how much the ratio of value to target may be above 1 without effect."""
        rules = self.behavior.scale_up if self.behavior else None
        return self._tolerance(rules)

    @property
    def tolerance_down(self) -> float:
        """By how much the ratio may be below 1 without effect."""
        rules = self.behavior.scale_down if self.behavior else None
        return self._tolerance(rules)

    def _tolerance(self, rules: ScalingRules | None) -> float:
        if rules is None or rules.tolerance is None or not self.controller.configurable_tolerance:
            return self.controller.tolerance
        return rules.tolerance


def _read(name: str, manifest: Mapping[str, Any], controller: ControllerConfig) -> HpaSpec:
    if manifest.get("kind") != "HorizontalPodAutoscaler" or manifest.get("apiVersion") != "autoscaling/v2":
        raise ValueError("apiVersion must be autoscaling/v2 and kind HorizontalPodAutoscaler")
    spec = mapping(manifest.get("spec"), "spec")
    target = mapping(spec.get("scaleTargetRef"), "spec.scaleTargetRef")
    max_replicas = integer(spec.get("maxReplicas"), "spec.maxReplicas", low=1)
    min_replicas = integer(spec.get("minReplicas"), "spec.minReplicas", low=0, default=1)
    if max_replicas < min_replicas:
        raise ValueError(f"spec.maxReplicas is {max_replicas}, below spec.minReplicas {min_replicas}")
    metrics = _metrics(spec.get("metrics") or ())
    if min_replicas == 0 and not any(isinstance(metric, ExternalMetric) for metric in metrics):
        raise ValueError("spec.minReplicas 0 needs an External metric: pods that are not there report nothing")
    return HpaSpec(
        name=name,
        target_kind=text(target.get("kind"), "spec.scaleTargetRef.kind"),
        target_name=text(target.get("name"), "spec.scaleTargetRef.name"),
        max_replicas=max_replicas,
        min_replicas=min_replicas,
        metrics=metrics,
        behavior=_behavior(spec.get("behavior"), controller),
        controller=controller,
    )


def _metrics(entries: Any) -> tuple[Metric, ...]:
    metrics = tuple(_metric(entry, f"spec.metrics[{i}]") for i, entry in enumerate(sequence(entries, "spec.metrics")))
    external = [metric.name for metric in metrics if isinstance(metric, ExternalMetric)]
    if len(set(external)) != len(external):
        raise ValueError("spec.metrics names an External metric twice; values are looked up by name")
    return metrics or (ResourceMetric("cpu", DEFAULT_CPU_UTILIZATION_PERCENT),)


def _metric(entry: Any, path: str) -> Metric:
    kind = mapping(entry, path).get("type")
    readers = {"Resource": ("resource", _resource), "Pods": ("pods", _pods), "External": ("external", _external)}
    if kind not in readers:
        raise ValueError(f"{path}.type is {kind!r}; Resource, Pods and External are modelled")
    key, reader = readers[kind]
    source = mapping(entry.get(key), f"{path}.{key}")
    target = mapping(source.get("target"), f"{path}.{key}.target")
    choice(target.get("type"), f"{path}.{key}.target.type", ("Utilization", "Value", "AverageValue"))
    return reader(source, target, f"{path}.{key}")


def _resource(source: Mapping[str, Any], target: Mapping[str, Any], path: str) -> Metric:
    percent = target.get("averageUtilization")
    if (percent is None) == (target.get("averageValue") is None):
        raise ValueError(f"{path}.target needs either averageUtilization or averageValue")
    name = text(source.get("name"), f"{path}.name")
    if percent is not None:
        return ResourceMetric(name, integer(percent, f"{path}.target.averageUtilization", low=1))
    return ResourceMetric(name, None, _amount(target, "averageValue", path))


def _pods(source: Mapping[str, Any], target: Mapping[str, Any], path: str) -> Metric:
    return PodsMetric(_identifier(source, path), _amount(target, "averageValue", path))


def _external(source: Mapping[str, Any], target: Mapping[str, Any], path: str) -> Metric:
    if (target.get("value") is None) == (target.get("averageValue") is None):
        raise ValueError(f"{path}.target needs either value or averageValue")
    name = _identifier(source, path)
    if target.get("averageValue") is not None:
        return ExternalMetric(name, _amount(target, "averageValue", path))
    return ExternalMetric(name, None, _amount(target, "value", path))


def _identifier(source: Mapping[str, Any], path: str) -> str:
    return text(mapping(source.get("metric"), f"{path}.metric").get("name"), f"{path}.metric.name")


def _amount(target: Mapping[str, Any], key: str, path: str) -> int:
    if target.get(key) is None:
        raise ValueError(f"{path}.target.{key} is missing")
    milli = parse_milli(target[key])
    if milli <= 0:
        raise ValueError(f"{path}.target.{key} is {target[key]!r}, must be above 0")
    return milli


def _behavior(entry: Any, controller: ControllerConfig) -> Behavior | None:
    if entry is None:
        return None
    behavior = mapping(entry, "spec.behavior")
    return Behavior(
        scale_up=_rules(behavior.get("scaleUp"), DEFAULT_SCALE_UP, "spec.behavior.scaleUp"),
        scale_down=_rules(behavior.get("scaleDown"), default_scale_down(controller), "spec.behavior.scaleDown"),
    )


def _rules(entry: Any, default: ScalingRules, path: str) -> ScalingRules:
    if entry is None:
        return default
    rules = mapping(entry, path)
    select, policies = rules.get("selectPolicy") or default.select, rules.get("policies")
    return ScalingRules(
        stabilization_window_seconds=integer(
            rules.get("stabilizationWindowSeconds"),
            f"{path}.stabilizationWindowSeconds",
            low=0,
            high=MAX_STABILIZATION_WINDOW_SECONDS,
            default=default.stabilization_window_seconds,
        ),
        select=cast(Select, choice(select, f"{path}.selectPolicy", ("Max", "Min", "Disabled"))),
        policies=default.policies if policies is None else _policies(policies, f"{path}.policies"),
        tolerance=_tolerance(rules.get("tolerance"), f"{path}.tolerance"),
    )


def _policies(entries: Any, path: str) -> tuple[Policy, ...]:
    policies = tuple(_policy(entry, f"{path}[{i}]") for i, entry in enumerate(sequence(entries, path)))
    if not policies:
        raise ValueError(f"{path} is empty; leave it out for the default, or set selectPolicy: Disabled")
    return policies


def _policy(entry: Any, path: str) -> Policy:
    policy = mapping(entry, path)
    return Policy(
        cast(PolicyKind, choice(policy.get("type"), f"{path}.type", ("Pods", "Percent"))),
        integer(policy.get("value"), f"{path}.value", low=1),
        integer(policy.get("periodSeconds"), f"{path}.periodSeconds", low=1, high=MAX_PERIOD_SECONDS),
    )


def _tolerance(entry: Any, path: str) -> float | None:
    if entry is None:
        return None
    if parse_milli(entry) < 0:
        raise ValueError(f"{path} is {entry!r}, must not be negative")
    return approximate_float(entry)
