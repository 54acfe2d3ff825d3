"""What kube-state-metrics, cAdvisor and KEDA would say of a local release, under the same names and labels. Pure.

So one set of rules and dashboards serves both. Only what those use is here; each series' meaning is Kubernetes' own
(https://github.com/kubernetes/kube-state-metrics/tree/main/docs, cAdvisor's docs/storage/prometheus.md) and KEDA's
(https://keda.sh/docs/latest/integrations/prometheus/).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from harness.autoscaling import Told
from harness.runtime.base import ContainerState, ScaleState

NAMESPACE = "local"
# The label `scaler`: how KEDA's own types are called, by the trigger's.
KEDA_SCALERS: Mapping[str, str] = {"rabbitmq": "rabbitMQScaler", "cron": "cronScaler"}


@dataclass(frozen=True)
class Snapshot:
    """A release at one moment. `autoscalers` are names by Deployment, `triggers` are by ScaledObject."""

    scales: Sequence[ScaleState] = ()
    autoscalers: Mapping[str, str] | None = None
    containers: Sequence[ContainerState] = ()
    triggers: Mapping[str, Sequence[Told]] = field(default_factory=dict)


def exposition(snapshot: Snapshot, *, namespace: str = NAMESPACE) -> bytes:
    """Return the snapshot as Prometheus reads it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(series(snapshot, namespace=namespace)))
    return generate_latest(registry)


class _Given(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def series(snapshot: Snapshot, *, namespace: str = NAMESPACE) -> Iterator[Metric]:
    """Return every series of a snapshot."""
    yield from _deployments(snapshot.scales, namespace)
    yield from _autoscalers(snapshot, namespace)
    yield from _scaled_objects(snapshot.triggers, namespace)
    yield from _resources(snapshot.containers, namespace)
    yield from _use(snapshot.containers, namespace)
    yield from _network(snapshot.containers, namespace)


def _deployments(scales: Sequence[ScaleState], namespace: str) -> Iterator[Metric]:
    labels = ("namespace", "deployment")
    replicas = GaugeMetricFamily("kube_deployment_status_replicas", "Replicas that are there.", labels=labels)
    ready = GaugeMetricFamily("kube_deployment_status_replicas_ready", "Those that are ready.", labels=labels)
    for scale in scales:
        replicas.add_metric((namespace, scale.deployment), scale.running)
        ready.add_metric((namespace, scale.deployment), scale.ready)
    yield from (replicas, ready)


def _autoscalers(snapshot: Snapshot, namespace: str) -> Iterator[Metric]:
    scales = {scale.deployment: scale for scale in snapshot.scales}
    families = {
        name: GaugeMetricFamily(
            f"kube_horizontalpodautoscaler_{name}", text, labels=("namespace", "horizontalpodautoscaler")
        )
        for name, text in (
            ("spec_min_replicas", "The fewest replicas."),
            ("spec_max_replicas", "The most replicas."),
            ("status_current_replicas", "Replicas that are there."),
            ("status_desired_replicas", "Replicas there should be."),
        )
    }
    for deployment, name in (snapshot.autoscalers or {}).items():
        scale = scales.get(deployment)
        if scale is None:
            continue
        values = (scale.minimum, scale.maximum, scale.running, scale.desired)
        for family, value in zip(families.values(), values, strict=True):
            if value is not None:
                family.add_metric((namespace, name), value)
    yield from families.values()


def _scaled_objects(triggers: Mapping[str, Sequence[Told]], namespace: str) -> Iterator[Metric]:
    labels = ("namespace", "scaledObject", "scaler", "triggerIndex", "metric", "type")
    value = GaugeMetricFamily("keda_scaler_metrics_value", "What a trigger's metric is.", labels=labels)
    active = GaugeMetricFamily("keda_scaler_active", "1 while the trigger is active.", labels=labels)
    errors = CounterMetricFamily(
        "keda_scaled_object_errors", "Triggers that had no answer.", labels=("namespace", "scaledObject")
    )
    for name, told in triggers.items():
        errors.add_metric((namespace, name), sum(one.errors for one in told))
        for one in told:
            trigger = one.trigger
            own = (namespace, name, KEDA_SCALERS[trigger.kind], str(trigger.index), trigger.name, "scaledobject")
            if one.value is not None:
                value.add_metric(own, one.value)
            if one.active is not None:
                active.add_metric(own, float(one.active))
    yield from (value, active, errors)


def _resources(containers: Sequence[ContainerState], namespace: str) -> Iterator[Metric]:
    labels = ("namespace", "pod", "container", "resource")
    requests = GaugeMetricFamily("kube_pod_container_resource_requests", "Cores and bytes asked for.", labels=labels)
    limits = GaugeMetricFamily("kube_pod_container_resource_limits", "Cores and bytes allowed.", labels=labels)
    for one in containers:
        for family, amounts in ((requests, one.requests), (limits, one.limits)):
            for resource, amount in amounts.items():
                family.add_metric((namespace, one.pod, one.name, resource), amount)
    yield from (requests, limits)


def _use(containers: Sequence[ContainerState], namespace: str) -> Iterator[Metric]:
    labels = ("namespace", "pod", "container")
    cpu = CounterMetricFamily("container_cpu_usage_seconds", "CPU time used.", labels=labels)
    memory = GaugeMetricFamily("container_memory_working_set_bytes", "Memory in use.", labels=labels)
    for one in containers:
        if one.cpu_seconds is not None:
            cpu.add_metric((namespace, one.pod, one.name), one.cpu_seconds)
        if one.memory_bytes is not None:
            memory.add_metric((namespace, one.pod, one.name), one.memory_bytes)
    yield from (cpu, memory)


def _network(containers: Sequence[ContainerState], namespace: str) -> Iterator[Metric]:
    """Return what pods received and sent: a pod has one network, so its containers add up."""
    totals: dict[str, tuple[int, int]] = {}
    for one in containers:
        if one.received_bytes is not None and one.sent_bytes is not None:
            received, sent = totals.get(one.pod, (0, 0))
            totals[one.pod] = (received + one.received_bytes, sent + one.sent_bytes)
    labels = ("namespace", "pod")
    receive = CounterMetricFamily("container_network_receive_bytes", "Bytes received.", labels=labels)
    transmit = CounterMetricFamily("container_network_transmit_bytes", "Bytes sent.", labels=labels)
    for pod, (received, sent) in totals.items():
        receive.add_metric((namespace, pod), received)
        transmit.add_metric((namespace, pod), sent)
    yield from (receive, transmit)
