"""What one HorizontalPodAutoscaler says, with every default filled in as the API server and the controller fill it.

Defaults: pkg/apis/autoscaling/v2/defaults.go; refusals: pkg/apis/autoscaling/validation (Kubernetes 1.34).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

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
        name = _name(manifest)
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


def _name(manifest: Mapping[str, Any]) -> str:
    metadata = manifest.get("metadata")
    return str(metadata.get("name", "(no name)")) if isinstance(metadata, Mapping) else "(no name)"


def _read(name: str, manifest: Mapping[str, Any], controller: ControllerConfig) -> HpaSpec:
    if manifest.get("kind") != "HorizontalPodAutoscaler" or manifest.get("apiVersion") != "autoscaling/v2":
        raise ValueError("apiVersion must be autoscaling/v2 and kind HorizontalPodAutoscaler")
    spec = _mapping(manifest.get("spec"), "spec")
    target = _mapping(spec.get("scaleTargetRef"), "spec.scaleTargetRef")
    max_replicas = _integer(spec.get("maxReplicas"), "spec.maxReplicas", low=1)
    min_replicas = _integer(
        spec.get("minReplicas", 1) if spec.get("minReplicas") is not None else 1, "spec.minReplicas", low=0
    )
    if max_replicas < min_replicas:
        raise ValueError(f"spec.maxReplicas is {max_replicas}, below spec.minReplicas {min_replicas}")
    metrics = _metrics(spec.get("metrics") or ())
    if min_replicas == 0 and not any(isinstance(metric, ExternalMetric) for metric in metrics):
        raise ValueError("spec.minReplicas 0 needs an External metric: pods that are not there report nothing")
    return HpaSpec(
        name=name,
        target_kind=_text(target.get("kind"), "spec.scaleTargetRef.kind"),
        target_name=_text(target.get("name"), "spec.scaleTargetRef.name"),
        max_replicas=max_replicas,
        min_replicas=min_replicas,
        metrics=metrics,
        behavior=_behavior(spec.get("behavior"), controller),
        controller=controller,
    )


def _metrics(entries: Any) -> tuple[Metric, ...]:
    metrics = tuple(_metric(entry, f"spec.metrics[{i}]") for i, entry in enumerate(_list(entries, "spec.metrics")))
    external = [metric.name for metric in metrics if isinstance(metric, ExternalMetric)]
    if len(set(external)) != len(external):
        raise ValueError("spec.metrics names an External metric twice; values are looked up by name")
    return metrics or (ResourceMetric("cpu", DEFAULT_CPU_UTILIZATION_PERCENT),)


def _metric(entry: Any, path: str) -> Metric:
    kind = _mapping(entry, path).get("type")
    if kind == "Resource":
        return _resource(_mapping(entry.get("resource"), f"{path}.resource"), f"{path}.resource")
    if kind == "Pods":
        source = _mapping(entry.get("pods"), f"{path}.pods")
        target = _target(source, f"{path}.pods.target")
        if target.get("averageValue") is None:
            raise ValueError(f"{path}.pods.target.averageValue is missing")
        return PodsMetric(_identifier(source, f"{path}.pods"), _amount(target, "averageValue", f"{path}.pods.target"))
    if kind == "External":
        return _external(_mapping(entry.get("external"), f"{path}.external"), f"{path}.external")
    raise ValueError(f"{path}.type is {kind!r}; Resource, Pods and External are modelled")


def _resource(source: Mapping[str, Any], path: str) -> ResourceMetric:
    target = _target(source, f"{path}.target")
    percent, average = target.get("averageUtilization"), target.get("averageValue")
    if (percent is None) == (average is None):
        raise ValueError(f"{path}.target needs either averageUtilization or averageValue")
    name = _text(source.get("name"), f"{path}.name")
    if percent is not None:
        return ResourceMetric(name, _integer(percent, f"{path}.target.averageUtilization", low=1))
    return ResourceMetric(name, None, _amount(target, "averageValue", f"{path}.target"))


def _external(source: Mapping[str, Any], path: str) -> ExternalMetric:
    target = _target(source, f"{path}.target")
    if (target.get("value") is None) == (target.get("averageValue") is None):
        raise ValueError(f"{path}.target needs either value or averageValue")
    name = _identifier(source, path)
    if target.get("averageValue") is not None:
        return ExternalMetric(name, _amount(target, "averageValue", f"{path}.target"))
    return ExternalMetric(name, None, _amount(target, "value", f"{path}.target"))


def _target(source: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    target = _mapping(source.get("target"), path)
    if target.get("type") not in ("Utilization", "Value", "AverageValue"):
        raise ValueError(f"{path}.type is {target.get('type')!r}, must be Utilization, Value or AverageValue")
    return target


def _identifier(source: Mapping[str, Any], path: str) -> str:
    return _text(_mapping(source.get("metric"), f"{path}.metric").get("name"), f"{path}.metric.name")


def _amount(target: Mapping[str, Any], key: str, path: str) -> int:
    milli = parse_milli(target[key])
    if milli <= 0:
        raise ValueError(f"{path}.{key} is {target[key]!r}, must be above 0")
    return milli


def _behavior(entry: Any, controller: ControllerConfig) -> Behavior | None:
    if entry is None:
        return None
    behavior = _mapping(entry, "spec.behavior")
    return Behavior(
        scale_up=_rules(behavior.get("scaleUp"), DEFAULT_SCALE_UP, "spec.behavior.scaleUp"),
        scale_down=_rules(behavior.get("scaleDown"), default_scale_down(controller), "spec.behavior.scaleDown"),
    )


def _rules(entry: Any, default: ScalingRules, path: str) -> ScalingRules:
    if entry is None:
        return default
    rules = _mapping(entry, path)
    window, select, policies = (rules.get(key) for key in ("stabilizationWindowSeconds", "selectPolicy", "policies"))
    if select not in (None, "Max", "Min", "Disabled"):
        raise ValueError(f"{path}.selectPolicy is {select!r}, must be Max, Min or Disabled")
    return ScalingRules(
        stabilization_window_seconds=default.stabilization_window_seconds
        if window is None
        else _integer(window, f"{path}.stabilizationWindowSeconds", low=0, high=MAX_STABILIZATION_WINDOW_SECONDS),
        select=select or default.select,
        policies=default.policies if policies is None else _policies(policies, f"{path}.policies"),
        tolerance=_tolerance(rules.get("tolerance"), f"{path}.tolerance"),
    )


def _policies(entries: Any, path: str) -> tuple[Policy, ...]:
    policies = tuple(_policy(entry, f"{path}[{i}]") for i, entry in enumerate(_list(entries, path)))
    if not policies:
        raise ValueError(f"{path} is empty; leave it out for the default, or set selectPolicy: Disabled")
    return policies


def _policy(entry: Any, path: str) -> Policy:
    policy = _mapping(entry, path)
    if policy.get("type") not in ("Pods", "Percent"):
        raise ValueError(f"{path}.type is {policy.get('type')!r}, must be Pods or Percent")
    return Policy(
        policy["type"],
        _integer(policy.get("value"), f"{path}.value", low=1),
        _integer(policy.get("periodSeconds"), f"{path}.periodSeconds", low=1, high=MAX_PERIOD_SECONDS),
    )


def _tolerance(entry: Any, path: str) -> float | None:
    if entry is None:
        return None
    if parse_milli(entry) < 0:
        raise ValueError(f"{path} is {entry!r}, must not be negative")
    return approximate_float(entry)


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{path} is missing" if value is None else f"{path} must be a mapping, not {value!r}")
    return value


def _list(value: Any, path: str) -> Sequence[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise ValueError(f"{path} must be a list, not {value!r}")
    return value


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{path} is missing" if value is None else f"{path} must be a text, not {value!r}")
    return value


def _integer(value: Any, path: str, *, low: int, high: int = 2**31 - 1) -> int:
    if value is None:
        raise ValueError(f"{path} is missing")
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{path} is {value!r}, must be a whole number from {low} to {high}")
    return value
