"""A plant with one thing changed. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness.autoscaling import Behavior, ExternalMetric, HpaSpec, PodsMetric, Policy, ResourceMetric, ScalingRules
from harness.autoscaling.spec import DEFAULT_SCALE_UP, Metric, default_scale_down
from harness.simulation.model import Plant, Scaler, WorkerClass

UNBOUND_PODS = 10_000
FREE_SCALE_UP = ScalingRules(stabilization_window_seconds=0, select="Max", policies=(Policy("Pods", UNBOUND_PODS, 1),))


def with_class(plant: Plant, name: str, **changes: Any) -> Plant:
    """Return the plant with a class's fields set anew."""
    return _each(plant, name, lambda one: replace(one, **changes))


def with_hpa(plant: Plant, name: str, change: Callable[[HpaSpec], HpaSpec]) -> Plant:
    """Return the plant with a class's autoscaler changed; a class without one stays."""

    def apply(one: WorkerClass) -> WorkerClass:
        if one.scaler is None:
            return one
        hpa = change(one.scaler.hpa)
        keda = one.scaler.keda
        if keda is not None:
            least = keda.min_replicas if hpa.min_replicas == keda.hpa_min_replicas else hpa.min_replicas
            keda = replace(keda, min_replicas=least, max_replicas=hpa.max_replicas)
        return replace(one, scaler=Scaler(hpa=hpa, keda=keda))

    return _each(plant, name, apply)


def with_queue(plant: Plant, name: str, **changes: Any) -> Plant:
    """Return the plant with a queue's fields set anew."""
    queues = tuple(replace(one, **changes) if one.name == name else one for one in plant.queues)
    return replace(plant, queues=queues)


def maximum(plant: Plant, name: str, replicas: int) -> Plant:
    """Return the plant with another maximum of a class's pods; one without a scaler has that many at all times."""
    if class_of(plant, name).scaler is None:
        return with_class(plant, name, replicas=replicas)
    return with_hpa(plant, name, lambda hpa: replace(hpa, max_replicas=replicas))


def minimum(plant: Plant, name: str, replicas: int) -> Plant:
    """Return the plant with another minimum of a class's pods, and at least as high a maximum."""
    raised = with_hpa(
        plant,
        name,
        lambda hpa: replace(hpa, min_replicas=replicas, max_replicas=max(hpa.max_replicas, replicas)),
    )
    return with_class(raised, name, replicas=replicas)


def scale_up(plant: Plant, name: str, rules: ScalingRules) -> Plant:
    """Return the plant with other upward rules of a class's autoscaler."""

    def change(hpa: HpaSpec) -> HpaSpec:
        down = hpa.behavior.scale_down if hpa.behavior else default_scale_down(hpa.controller)
        return replace(hpa, behavior=Behavior(scale_up=rules, scale_down=down))

    return with_hpa(plant, name, change)


def default_scale_up(plant: Plant, name: str) -> Plant:
    """Return the plant with Kubernetes' own upward rules for a class: +4 pods or +100 % in 15 s."""
    return scale_up(plant, name, DEFAULT_SCALE_UP)


def targets(plant: Plant, name: str, share: float) -> Plant:
    """Return the plant with a class's targets at a share of what they are."""
    return with_hpa(
        plant, name, lambda hpa: replace(hpa, metrics=tuple(_scaled(metric, share) for metric in hpa.metrics))
    )


def class_of(plant: Plant, name: str) -> WorkerClass:
    """Return a class by its name."""
    return next(one for one in plant.classes if one.name == name)


def _scaled(metric: Metric, share: float) -> Metric:
    def scaled(value: int | None) -> int | None:
        return None if value is None else max(round(value * share), 1)

    if isinstance(metric, ResourceMetric):
        return replace(
            metric,
            target_percent=scaled(metric.target_percent),
            target_average_milli=scaled(metric.target_average_milli),
        )
    if isinstance(metric, PodsMetric):
        return replace(metric, target_average_milli=max(round(metric.target_average_milli * share), 1))
    assert isinstance(metric, ExternalMetric)
    return replace(
        metric,
        target_average_milli=scaled(metric.target_average_milli),
        target_value_milli=scaled(metric.target_value_milli),
    )


def _each(plant: Plant, name: str, change: Callable[[WorkerClass], WorkerClass]) -> Plant:
    return replace(plant, classes=tuple(change(one) if one.name == name else one for one in plant.classes))
