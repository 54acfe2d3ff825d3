"""How many replicas each metric asks for: the controller's replica calculator.

Pods are sorted into groups, the groups are added up, and `kernel` does the arithmetic on the sums.
Source: replica_calculator.go (groupPods, GetResourceReplicas, calcPlainMetricReplicas, External...).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.autoscaling import kernel
from harness.autoscaling.observation import Observation, PodSample, nanoseconds
from harness.autoscaling.spec import ControllerConfig, ExternalMetric, HpaSpec, Metric, PodsMetric, ResourceMetric


@dataclass(frozen=True)
class Proposal:
    """What one metric asks for: `replicas`, or None and an `error` that says why it could not be used.

    `current` is what was compared with the target: per cent of requests for a Utilization target, else thousandths
    (an average over pods, or the external metric's total).
    """

    metric: Metric
    replicas: int | None
    current: int = 0
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class PodGroups:
    """One resource over the pods of a target: counts and sums, all the arithmetic needs."""

    ready: int = 0
    ready_usage_milli: int = 0
    ready_request_milli: int = 0
    missing: int = 0
    missing_request_milli: int = 0
    missing_usage_milli: int = 0
    unready: int = 0
    unready_request_milli: int = 0


READY, MISSING, UNREADY, IGNORED = "ready", "missing", "unready", "ignored"


def classify(pod: PodSample, *, sampled: bool, is_cpu: bool, now: int, controller: ControllerConfig) -> str:
    """Tell how a pod counts: ready, missing (no sample), unready (its sample is not trusted yet) or ignored.

    `now` in nanoseconds. Only CPU is distrusted while a pod starts; memory and pods metrics are not.
    """
    if pod.deleting or pod.phase == "Failed":
        return IGNORED
    if pod.phase == "Pending":
        return UNREADY
    if not sampled:
        return MISSING
    return UNREADY if is_cpu and _cpu_untrusted(pod, now, controller) else READY


def _cpu_untrusted(pod: PodSample, now: int, controller: ControllerConfig) -> bool:
    if pod.ready is None or pod.start_time_seconds is None:
        return True
    return kernel.cpu_untrusted(
        pod.ready,
        nanoseconds(pod.start_time_seconds),
        _known(pod.last_transition_seconds),
        _known(pod.metric_timestamp_seconds),
        nanoseconds(pod.metric_window_seconds),
        now,
        nanoseconds(controller.cpu_initialization_seconds),
        nanoseconds(controller.initial_readiness_delay_seconds),
    )


def _known(seconds: float | None) -> int:
    return kernel.NEVER if seconds is None else nanoseconds(seconds)


def propose(spec: HpaSpec, observation: Observation, *, now: int) -> tuple[Proposal, ...]:
    """Return every metric's proposal, in the manifest's order; `now` in nanoseconds."""
    return tuple(_propose(spec, metric, observation, now) for metric in spec.metrics)


def _propose(spec: HpaSpec, metric: Metric, observation: Observation, now: int) -> Proposal:
    if metric.name in observation.unavailable:
        return Proposal(metric, None, error="its source does not answer")
    if isinstance(metric, ResourceMetric):
        return _resource(spec, metric, observation, now)
    if isinstance(metric, PodsMetric):
        samples = [pod.custom_milli.get(metric.name) for pod in observation.pods]
        return _average(spec, metric, metric.target_average_milli, observation, samples, now=now, is_cpu=False)
    return _external(spec, metric, observation)


def _resource(spec: HpaSpec, metric: ResourceMetric, observation: Observation, now: int) -> Proposal:
    is_cpu = metric.name == "cpu"
    samples = [pod.usage_milli.get(metric.name) for pod in observation.pods]
    if metric.target_average_milli is not None:
        return _average(spec, metric, metric.target_average_milli, observation, samples, now=now, is_cpu=is_cpu)
    target = metric.target_percent or 0
    without = [pod.name for pod in observation.pods if metric.name not in pod.requests_milli]
    if without:
        return Proposal(metric, None, error=f"pod {without[0]} requests no {metric.name}")
    requests = [pod.requests_milli[metric.name] for pod in observation.pods]
    kinds = _kinds(spec, observation.pods, samples, now=now, is_cpu=is_cpu)
    groups = add_up(zip(kinds, samples, requests, strict=True), target_percent=target)
    problem = _problem(observation, groups) or ("" if groups.ready_request_milli else f"no {metric.name} is requested")
    if problem:
        return Proposal(metric, None, error=problem)
    replicas = kernel.utilization_replicas(
        observation.spec_replicas,
        target,
        groups.ready,
        groups.ready_usage_milli,
        groups.ready_request_milli,
        groups.missing,
        groups.missing_request_milli,
        groups.missing_usage_milli,
        groups.unready,
        groups.unready_request_milli,
        spec.tolerance_down,
        spec.tolerance_up,
    )
    percent = kernel.utilization_percent(groups.ready_usage_milli, groups.ready_request_milli)
    return Proposal(metric, replicas, percent)


def _average(
    spec: HpaSpec,
    metric: Metric,
    target_milli: int,
    observation: Observation,
    samples: Sequence[int | None],
    *,
    now: int,
    is_cpu: bool,
) -> Proposal:
    kinds = _kinds(spec, observation.pods, samples, now=now, is_cpu=is_cpu)
    groups = add_up(zip(kinds, samples, [0] * len(samples), strict=True), target_percent=0)
    problem = _problem(observation, groups)
    if problem:
        return Proposal(metric, None, error=problem)
    replicas = kernel.average_replicas(
        observation.spec_replicas,
        target_milli,
        groups.ready,
        groups.ready_usage_milli,
        groups.missing,
        groups.unready,
        spec.tolerance_down,
        spec.tolerance_up,
    )
    return Proposal(metric, replicas, kernel.divide(kernel.wrap64(groups.ready_usage_milli), groups.ready))


def _kinds(
    spec: HpaSpec, pods: Sequence[PodSample], samples: Sequence[int | None], *, now: int, is_cpu: bool
) -> list[str]:
    return [
        classify(pod, sampled=sample is not None, is_cpu=is_cpu, now=now, controller=spec.controller)
        for pod, sample in zip(pods, samples, strict=True)
    ]


def add_up(rows: Iterable[tuple[str, int | None, int]], *, target_percent: int) -> PodGroups:
    """Add up (group, usage or None, request) rows; `target_percent` says what a missing pod is taken to use."""
    totals = dict.fromkeys(PodGroups.__dataclass_fields__, 0)
    for kind, usage_milli, request_milli in rows:
        if kind == IGNORED:
            continue
        totals[kind] += 1
        totals[f"{kind}_request_milli"] += request_milli
        if kind == READY:
            totals["ready_usage_milli"] += usage_milli or 0
        elif kind == MISSING:
            totals["missing_usage_milli"] += kernel.missing_pod_milli(request_milli, target_percent)
    return PodGroups(**totals)


def _problem(observation: Observation, groups: PodGroups) -> str:
    if not observation.pods:
        return "the target has no pods"
    return "" if groups.ready else "no pod has a sample that counts yet"


def _external(spec: HpaSpec, metric: ExternalMetric, observation: Observation) -> Proposal:
    values = observation.external_milli.get(metric.name, ())
    if not values:
        return Proposal(metric, None, error="its source gives no value")
    tolerances = (spec.tolerance_down, spec.tolerance_up)
    if metric.target_average_milli is not None:
        total = external_total(values)
        replicas = kernel.external_average_replicas(
            observation.status_replicas, total, metric.target_average_milli, *tolerances
        )
        return Proposal(metric, replicas, total)
    target, total = metric.target_value_milli or 0, kernel.wrap64(sum(values))
    current = observation.spec_replicas
    share = kernel.ratio(float(total), float(target))
    if current != 0 and not observation.pods and not kernel.within(share, *tolerances):
        return Proposal(metric, None, error="the target has no pods")
    ready = sum(1 for pod in observation.pods if pod.phase == "Running" and pod.ready)
    return Proposal(metric, kernel.external_value_replicas(current, total, target, ready, *tolerances), total)


def external_total(values: Sequence[int]) -> int:
    """Add up an AverageValue metric's values; the controller takes a negative running sum for an overflow."""
    total = 0
    for value in values:
        total = kernel.wrap64(total + value)
        if total < 0:
            return kernel.MAX_INT64
    return total


def combine(proposals: Sequence[Proposal], *, current: int) -> int | None:
    """Return what the metrics want together, the highest; None when the controller does nothing this time.

    Nothing is done when no metric is usable, or when one is not and the others want fewer than `current`.
    """
    usable = [proposal.replicas for proposal in proposals if proposal.replicas is not None]
    if not usable:
        return None
    wanted = 0
    for replicas in usable:
        if wanted == 0 or replicas > wanted:  # not max(): a first 0 gives way even to an overflowed negative
            wanted = replicas
    if len(usable) < len(proposals) and wanted < current:
        return None
    return max(wanted, 0)


def samples_by_name(milli: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Return `external_milli` for metrics of one value each, as KEDA serves them."""
    return {name: (value,) for name, value in milli.items()}
