"""What a local release looks like to Prometheus."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from harness.autoscaling import ScaledObject, Told
from harness.monitoring.configuration import Target
from harness.monitoring.local_metrics import LocalMetrics, on_free_port, targets
from harness.monitoring.local_series import Snapshot, exposition
from harness.runtime.base import ContainerState, ScaleState
from tests.local.runtime_manifests import scaled_object

SCALE = ScaleState("celery-io-worker", desired=4, running=3, ready=2, minimum=1, maximum=10)
CONTAINER = ContainerState(
    pod="celery-io-worker-1-a",
    deployment="celery-io-worker",
    name="worker",
    requests={"cpu": 0.2, "memory": 2048.0},
    limits={"cpu": 1.0},
    cpu_seconds=12.5,
    memory_bytes=1024,
    received_bytes=10,
    sent_bytes=20,
)


def samples(snapshot: Snapshot) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = exposition(snapshot).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset({"namespace": "local", **labels}.items())


def test_names_and_labels_are_kubernetes_own() -> None:
    found = samples(Snapshot([SCALE], {"celery-io-worker": "keda-hpa-celery-io-worker"}, [CONTAINER]))
    hpa = {"horizontalpodautoscaler": "keda-hpa-celery-io-worker"}
    pod, container = {"pod": CONTAINER.pod}, {"pod": CONTAINER.pod, "container": "worker"}
    assert found == {
        of("kube_deployment_status_replicas", deployment="celery-io-worker"): 3,
        of("kube_deployment_status_replicas_ready", deployment="celery-io-worker"): 2,
        of("kube_horizontalpodautoscaler_spec_min_replicas", **hpa): 1,
        of("kube_horizontalpodautoscaler_spec_max_replicas", **hpa): 10,
        of("kube_horizontalpodautoscaler_status_current_replicas", **hpa): 3,
        of("kube_horizontalpodautoscaler_status_desired_replicas", **hpa): 4,
        of("kube_pod_container_resource_requests", resource="cpu", **container): 0.2,
        of("kube_pod_container_resource_requests", resource="memory", **container): 2048,
        of("kube_pod_container_resource_limits", resource="cpu", **container): 1,
        of("container_cpu_usage_seconds_total", **container): 12.5,
        of("container_memory_working_set_bytes", **container): 1024,
        of("container_network_receive_bytes_total", **pod): 10,
        of("container_network_transmit_bytes_total", **pod): 20,
    }


def test_keda_tells_of_its_triggers_under_its_own_names() -> None:
    [depth] = ScaledObject.from_manifest(scaled_object(value=200)).triggers
    young = Told(depth, errors=2)
    own = {
        "scaledObject": "web", "scaler": "rabbitMQScaler", "triggerIndex": "0",
        "metric": "s0-rabbitmq-io", "type": "scaledobject",
    }  # fmt: skip
    assert samples(Snapshot(triggers={"web": [young]})) == {
        of("keda_scaled_object_errors_total", scaledObject="web"): 2
    }
    assert samples(Snapshot(triggers={"web": [Told(depth, 300.0, True, 2)]})) == {
        of("keda_scaled_object_errors_total", scaledObject="web"): 2,
        of("keda_scaler_metrics_value", **own): 300,
        of("keda_scaler_active", **own): 1,
    }


def test_what_was_not_measured_yet_has_no_series() -> None:
    young = replace(CONTAINER, cpu_seconds=None, memory_bytes=None, received_bytes=None, sent_bytes=None)
    names = {name for name, _ in samples(Snapshot([SCALE], {}, [young]))}
    assert not {name for name in names if name.startswith(("container_", "kube_horizontalpodautoscaler_"))}


def test_containers_of_a_pod_share_its_network() -> None:
    found = samples(Snapshot([], {}, [CONTAINER, replace(CONTAINER, name="side", received_bytes=5)]))
    assert found[of("container_network_receive_bytes_total", pod=CONTAINER.pod)] == 15


def test_a_pod_that_is_gone_leaves_no_series() -> None:
    assert samples(Snapshot()) == {}


def test_targets() -> None:
    found = targets("127.0.0.1:1", release="celery", exporter=True, rabbitmq_url="http://127.0.0.1:2", vhost="exams")
    detailed = "/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count&vhost=exams"
    labels = {"namespace": "local", "release": "celery"}
    assert found == [
        Target("kubernetes", "http://127.0.0.1:1/metrics"),
        Target("celery-exporter", "http://127.0.0.1:1/exporter", labels),
        Target("rabbitmq", f"http://127.0.0.1:2{detailed}", labels),
    ]
    (of_default_vhost,) = targets("a:1", release="r", exporter=False, rabbitmq_url="http://b:2", vhost="/")[1:]
    assert of_default_vhost.url.endswith("&vhost=%2F")
    assert [one.job for one in targets("a:1", release="r", exporter=False, rabbitmq_url=None, vhost="/")] == [
        "kubernetes"
    ]


def test_an_exporter_takes_any_free_port() -> None:
    env = [{"name": "CELERY_WORKERS_METRICS_PORT", "value": "9808"}, {"name": "KEPT", "value": "x"}]
    exporter: dict[str, Any] = {
        "kind": "Deployment",
        "metadata": {"name": "e", "labels": {"app.kubernetes.io/component": "exporter"}},
        "spec": {"template": {"spec": {"containers": [{"name": "exporter", "env": env}]}}},
    }
    other = {"kind": "Deployment", "metadata": {"name": "w"}}
    changed, kept = on_free_port([exporter, other])
    assert kept is other
    assert exporter["spec"]["template"]["spec"]["containers"][0]["env"] == env
    assert {one["name"]: one["value"] for one in changed["spec"]["template"]["spec"]["containers"][0]["env"]} == {
        "KEPT": "x",
        "CELERY_WORKERS_METRICS_PORT": "0",
        "CELERY_WORKERS_METRICS_HOST": "127.0.0.1",
    }


class Empty:
    """A runtime before anything is installed."""

    def autoscaler_names(self) -> dict[str, str]:
        return {}

    def scales(self) -> list[ScaleState]:
        return [SCALE]

    def containers(self) -> list[ContainerState]:
        return []

    def triggers(self) -> dict[str, tuple[Told, ...]]:
        return {}

    def pods(self) -> list[Any]:
        return []


def test_the_endpoint_says_what_the_runtime_told_last() -> None:
    now = [0.0]
    metrics = LocalMetrics(Empty(), clock=lambda: now[0])  # type: ignore[arg-type]
    status, text = metrics.answer("/metrics")
    assert (status, {line[:1] for line in text.splitlines()}) == (200, {b"#"})
    metrics.refresh()
    assert (
        b'kube_deployment_status_replicas{deployment="celery-io-worker",namespace="local"} 3.0'
        in (metrics.answer("/metrics")[1])
    )
    assert metrics.answer("/exporter")[0] == 503
    assert metrics.answer("/other")[0] == 404
