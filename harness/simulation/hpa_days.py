"""Days of one HPA's decisions at once: for searching among many specs, where a whole simulation would take too long."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.autoscaling import HpaSpec, ResourceMetric, ScalingRules, kernel
from harness.autoscaling.observation import nanoseconds
from harness.autoscaling.spec import NANOSECONDS
from harness.simulation import engine
from harness.simulation.kernel.rules import Autoscaler, Direction, Memory, Workload

_KINDS = {"Pods": kernel.PODS, "Percent": kernel.PERCENT}
_SELECTS = {"Max": kernel.SELECT_MAX, "Min": kernel.SELECT_MIN, "Disabled": kernel.SELECT_DISABLED}


def decide_day(
    spec: HpaSpec,
    demand_milli: NDArray[np.int64],
    *,
    request_milli: int,
    limit_milli: int,
    boot_seconds: float,
    sample_age_seconds: float = 7.5,
    sample_window_seconds: float = 15.0,
    by_pod: bool = False,
    compiled: bool = True,
) -> NDArray[np.int64]:
    """Return the replicas after each sync, the first at 0, for a CPU demand (thousandths of a core) at each of them.

    Pods that are ready share the demand evenly, up to their limit; a new one is ready after `boot_seconds`. Every pod
    has a sample at every sync. `by_pod` looks at each pod, which gives the same and takes longer. The decisions are
    `harness.autoscaling.decide`'s. Raises ValueError for a spec with other metrics than one CPU target, or without
    `behavior`.
    """
    load = Workload(
        sync=nanoseconds(spec.controller.sync_seconds),
        boot=nanoseconds(boot_seconds),
        sample_age=nanoseconds(sample_age_seconds),
        sample_window=nanoseconds(sample_window_seconds),
        request_milli=request_milli,
        limit_milli=limit_milli,
    )
    scaler, replicas = _autoscaler(spec), np.zeros(len(demand_milli), np.int64)
    days = _days(compiled=compiled)
    demand, memory = np.asarray(demand_milli, np.int64), _memory(scaler, load.sync)
    if by_pod:
        created = np.zeros(max(spec.max_replicas, spec.min_replicas), np.int64)
        days.day_by_pod(scaler, load, demand, memory, created, replicas)
    else:
        settled = max(scaler.initialization, load.boot + load.sample_age + load.sample_window)
        cohorts = np.zeros((settled // load.sync + 3, 2), np.int64)
        days.day_by_state(scaler, load, demand, memory, cohorts, replicas)
    return replicas


def _days(*, compiled: bool) -> ModuleType:
    name = f"{engine.KERNEL}.days"
    return engine.modules((kernel.__name__, name), entries=("day_by_state", "day_by_pod"), compiled=compiled)[name]


def _autoscaler(spec: HpaSpec) -> Autoscaler:
    metric = spec.metrics[0]
    if len(spec.metrics) != 1 or not isinstance(metric, ResourceMetric) or metric.name != "cpu":
        raise ValueError(f"{spec.name}: only a CPU metric can be decided by the day")
    if spec.behavior is None or metric.target_percent is None:
        raise ValueError(f"{spec.name}: needs behavior, and a target in per cent of the request")
    return Autoscaler(
        minimum=spec.min_replicas,
        maximum=spec.max_replicas,
        target_percent=metric.target_percent,
        tolerance_down=spec.tolerance_down,
        tolerance_up=spec.tolerance_up,
        initialization=nanoseconds(spec.controller.cpu_initialization_seconds),
        readiness_delay=nanoseconds(spec.controller.initial_readiness_delay_seconds),
        up=_direction(spec.behavior.scale_up),
        down=_direction(spec.behavior.scale_down),
    )


def _direction(rules: ScalingRules) -> Direction:
    return Direction(
        window=rules.stabilization_window_seconds * NANOSECONDS,
        select=_SELECTS[rules.select],
        longest=rules.longest_period_seconds * NANOSECONDS,
        kinds=_numbers(_KINDS[policy.kind] for policy in rules.policies),
        values=_numbers(policy.value for policy in rules.policies),
        periods=_numbers(policy.period_seconds * NANOSECONDS for policy in rules.policies),
    )


def _numbers(values: Any) -> NDArray[np.int64]:
    return np.fromiter(values, np.int64)


def _memory(scaler: Autoscaler, sync: int) -> Memory:
    """Return empty lists with room for all that can be remembered: an entry a sync until the oldest is overwritten."""
    longest = max(scaler.up.window, scaler.down.window, scaler.up.longest, scaler.down.longest)
    room = longest // sync + 3
    return Memory(np.zeros(3, np.int64), *(np.zeros(room, np.int64) for _ in range(6)))
