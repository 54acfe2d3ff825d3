"""From a plant's autoscalers to the coarse model's tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.autoscaling import ExternalMetric, HpaSpec, ResourceMetric, ScalingRules, TriggerMetric, kernel
from harness.autoscaling.observation import nanoseconds
from harness.simulation import fluid_tables as tables_of
from harness.simulation.fluid_tables import NONE, Records, records
from harness.simulation.model import Plant, Scaler, WorkerClass

_KINDS = {"Pods": kernel.PODS, "Percent": kernel.PERCENT}
_SELECTS = {"Max": kernel.SELECT_MAX, "Min": kernel.SELECT_MIN, "Disabled": kernel.SELECT_DISABLED}
_MODES = {"QueueLength": tables_of.DEPTH, "ExpectedQueueConsumptionTime": tables_of.DRAIN_TIME}
Rates = tuple[tuple[int, int, int], ...]
"""Policies of one direction: kind, value, period in nanoseconds."""


def rules_of(plant: Plant, step: float) -> tuple[Records, Records, tables_of.Policies]:
    """Return the rules of each class, of each of their directions, and their policies.

    Raises ValueError for an autoscaler the coarse model does not know, naming its Deployment.
    """
    rules, directions, rates, first = [], [], [], 0
    for worker in plant.classes:
        triggers = len(_external(worker, worker.scaler)) if worker.scaler else 0
        rules.append({**_rule(worker, step), "first_trigger": first, "last_trigger": first + triggers})
        first += triggers
        both = _directions(worker.scaler.hpa if worker.scaler else None)
        directions += [
            {"window": window, "select": select, "policies": len(each), "longest": max((p[2] for p in each), default=0)}
            for window, select, each in both
        ]
        rates.append([each for _, _, each in both])
    shape = (len(plant.classes), 2)
    return (
        records(tables_of.RULE, rules),
        records(tables_of.DIRECTION, directions).reshape(shape),
        tables_of.Policies(*(_padded(rates, column) for column in range(3))),
    )


def _rule(worker: WorkerClass, step: float) -> dict[str, Any]:
    if worker.scaler is None:
        return _UNSCALED | {"minimum": worker.replicas, "maximum": worker.replicas}
    spec, keda = worker.scaler.hpa, worker.scaler.keda
    percents = {m.name: m.target_percent for m in spec.metrics if isinstance(m, ResourceMetric)}
    return {
        "scaled": 1,
        "minimum": spec.min_replicas,
        "maximum": spec.max_replicas,
        "cpu_percent": or_none(percents.get("cpu")),
        "memory_percent": or_none(percents.get("memory")),
        "tolerance_down": spec.tolerance_down,
        "tolerance_up": spec.tolerance_up,
        "has_behavior": int(spec.behavior is not None),
        "to_zero": int(keda is not None and keda.min_replicas == 0),
        "polling_steps": max(1, round(keda.polling_seconds / step)) if keda else 1,
        "cooldown_steps": math.ceil(keda.cooldown_seconds / step) if keda else 0,
    }


_UNSCALED: dict[str, Any] = {
    "scaled": 0, "cpu_percent": NONE, "memory_percent": NONE, "tolerance_down": 0.0, "tolerance_up": 0.0,
    "has_behavior": 0, "to_zero": 0, "polling_steps": 1, "cooldown_steps": 0,
}  # fmt: skip


def _directions(spec: HpaSpec | None) -> list[tuple[int, int, Rates]]:
    """Return window in nanoseconds, select and policies, up and down."""
    if spec is None:
        return [(0, kernel.SELECT_MAX, ())] * 2
    if spec.behavior is None:
        return [(nanoseconds(spec.controller.downscale_stabilization_seconds), kernel.SELECT_MAX, ())] * 2
    return [
        (nanoseconds(rules.stabilization_window_seconds), _SELECTS[rules.select], _policies(rules))
        for rules in (spec.behavior.scale_up, spec.behavior.scale_down)
    ]


def _policies(rules: ScalingRules) -> Rates:
    return tuple((_KINDS[p.kind], p.value, nanoseconds(p.period_seconds)) for p in rules.policies)


def _padded(rates: Sequence[Sequence[Rates]], column: int) -> Records:
    width = max(1, *(len(each) for both in rates for each in both))
    padded = np.zeros((len(rates), 2, width), np.int64)
    for c, both in enumerate(rates):
        for d, each in enumerate(both):
            padded[c, d, : len(each)] = [policy[column] for policy in each]
    return padded


def triggers_of(plant: Plant) -> Records:
    """Return the external metrics of all classes, in their order."""
    queues = {name: number for number, name in enumerate(queue_names(plant))}
    found = [each for w in plant.classes if w.scaler is not None for each in _external(w, w.scaler)]
    rows = [
        {"queue": queues[one.queue], "reads": _reads(one), "target_milli": _milli(metric),
         "by_value": int(metric.target_average_milli is None)}
        for one, metric in found
    ]  # fmt: skip
    return records(tables_of.TRIGGER, rows)


def _milli(metric: ExternalMetric) -> int:
    target = metric.target_value_milli if metric.target_average_milli is None else metric.target_average_milli
    return target or 0


def _reads(trigger: TriggerMetric) -> int:
    reads = _MODES[trigger.mode]
    return tables_of.DEPTH_READY if reads == tables_of.DEPTH and not trigger.counts_unacked else reads


def _external(worker: WorkerClass, scaler: Scaler) -> list[tuple[TriggerMetric, ExternalMetric]]:
    """Return the triggers the HPA's External metrics are, each with its metric.

    Raises ValueError for what the coarse model does not know.
    """
    triggers = {trigger.name: trigger for trigger in scaler.keda.triggers} if scaler.keda else {}
    found = []
    for metric in scaler.hpa.metrics:
        if isinstance(metric, ResourceMetric) and metric.target_percent is not None:
            continue
        trigger = triggers.get(metric.name)
        if not isinstance(metric, ExternalMetric) or trigger is None:
            raise ValueError(f"{worker.deployment}: the coarse model knows no metric such as {metric.name}")
        if trigger.mode not in _MODES or trigger.pattern or trigger.queue not in worker.queues:
            raise ValueError(
                f"{worker.deployment}: the coarse model knows RabbitMQ triggers on the depth and the drain time of the "
                f"class's own queues only, not {metric.name}"
            )
        found.append((trigger, metric))
    return found


def queue_names(plant: Plant) -> list[str]:
    """Return the queues in the order of the tables: by class."""
    return [name for worker in plant.classes for name in worker.queues]


def or_none(value: int | None) -> int:
    """Return a number as tables have it."""
    return NONE if value is None else value
