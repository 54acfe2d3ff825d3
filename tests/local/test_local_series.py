"""A chart's release as processes, seen by Prometheus: Kubernetes' names, the exporter's and RabbitMQ's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.exporting import Exporter
from harness import direct
from harness.broker.management import Management
from harness.broker.server import Broker
from harness.chart import render
from harness.monitoring import local_metrics
from harness.monitoring.local_metrics import LocalMetrics
from harness.runtime.base import Release
from harness.runtime.local import LocalRuntime

pytestmark = pytest.mark.timeout(300)

WORKER = "celery-io-worker"
IO = {"class": "io"}
CPU, READY = "container_cpu_usage_seconds_total", "kube_deployment_status_replicas_ready"
PAUSED = "celery_workers_queue_paused"


def ticking(runtime: LocalRuntime, condition: Callable[[], bool], *, seconds: float = 60.0) -> bool:
    """Whether the condition comes to hold while the runtime goes on."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        runtime.tick()
        time.sleep(0.1)
    return True


@dataclass(frozen=True)
class Released:
    """A release with one io worker and an exporter, and what is read of it."""

    runtime: LocalRuntime
    kubernetes: Exporter
    exporter: Exporter

    def replicas(self, count: int) -> bool:
        """Whether the class comes to have so many workers, for Kubernetes and for the exporter."""
        # The floor too: the autoscaler, which has nothing to do, would take the second one away again.
        self.runtime.documents.patch("ScaledObject", WORKER, {"spec": {"minReplicaCount": count}})
        self.runtime.scale(WORKER, count)
        return ticking(self.runtime, lambda: self.kubernetes.value(READY, deployment=WORKER) == count) and ticking(
            self.runtime, lambda: self.exporter.value("celery_workers_workers", **IO) == count
        )


@contextmanager
def released(broker: Broker, directory: Path) -> Iterator[Released]:
    broker_secret = {"amqpUrl": broker.amqp_url, "managementUrl": broker.management_url}
    services = {"EXAMX_DATABASE_URL": f"sqlite:///{directory / 'examx.sqlite3'}", "EXAMX_FILES_DIR": str(directory)}
    only = {
        "exporter.enabled": True,
        "workers.cpu": None,
        "workers.mixed": None,
        "routes": [],
        "workers.io.concurrency": 10,
    }
    manifests = render.render(render.environment_files("prod,keda"), set_values=only)
    secrets = {"celery-broker": broker_secret, "examx-services": services}
    assert local_metrics.has_exporter(manifests)
    with Management(broker.management_url) as api:
        runtime = LocalRuntime(directory=directory / "run", queue_source=api.queues, metrics_seconds=1.0)
        metrics = LocalMetrics(runtime)
        runtime.add_controller(metrics.refresh)
        with local_metrics.serve(metrics) as address:
            kubernetes = Exporter(0, f"http://{address}/metrics", directory, directory)
            exporter = Exporter(0, f"http://{address}/exporter", directory, directory)
            try:
                runtime.install(Release("celery", "default", local_metrics.on_free_port(manifests), secrets))
                runtime.wait_ready(timeout_seconds=120)
                assert ticking(runtime, lambda: kubernetes.value(READY, deployment=WORKER) == 1)
                assert ticking(
                    runtime,
                    lambda: exporter.text() != "" and exporter.value("celery_workers_workers", **IO) == 1,
                )
                yield Released(runtime, kubernetes, exporter)
            finally:
                runtime.uninstall()
            assert direct.get(f"http://{address}/other", timeout_seconds=10).status_code == 404


def test_a_release_under_kubernetes_names(vhost_broker: Broker, tmp_path: Path) -> None:
    with released(vhost_broker, tmp_path) as release:
        runtime, local, exporter = release.runtime, release.kubernetes, release.exporter
        pods = {pod.name: pod.deployment for pod in runtime.pods()}
        assert sorted(pods.values()) == ["celery-exporter", WORKER]
        (pod,) = (name for name, deployment in pods.items() if deployment == WORKER)
        assert ticking(runtime, lambda: (local.value(CPU, pod=pod, container="worker") or 0) > 0)
        memory = local.value("container_memory_working_set_bytes", namespace="local", pod=pod)
        assert memory is not None
        assert memory > 10_000_000
        assert ticking(runtime, lambda: (local.value("container_network_receive_bytes_total", pod=pod) or 0) > 0)
        assert local.value("kube_pod_container_resource_requests", pod=pod, resource="cpu") == 0.2
        hpa = {"horizontalpodautoscaler": f"keda-hpa-{WORKER}"}
        assert local.value("kube_horizontalpodautoscaler_spec_max_replicas", **hpa) == 5
        depth = {"scaledObject": WORKER, "metric": "s0-rabbitmq-io", "scaler": "rabbitMQScaler"}
        assert ticking(runtime, lambda: local.value("keda_scaler_active", **depth) == 0)
        assert local.value("keda_scaler_metrics_value", **depth) == 0
        assert exporter.value("celery_workers_worker_concurrency", **IO) == 10

        assert exporter.value(PAUSED, **IO) == 0
        paused = {"paused.json": '{"queues": ["io"]}'}
        runtime.documents.create({"kind": "ConfigMap", "metadata": {"name": "celery-ops"}, "data": paused})
        assert ticking(runtime, lambda: exporter.value(PAUSED, **IO, queue="io") == 1)
        runtime.documents.patch("ConfigMap", "celery-ops", {"data": {"paused.json": None}})
        assert ticking(runtime, lambda: exporter.value(PAUSED, **IO) == 0)


@pytest.mark.full  # of pods that come and go, unit/monitoring/test_local_series.py and worker_files/test_tally.py
def test_pods_that_come_and_go(vhost_broker: Broker, tmp_path: Path) -> None:
    with released(vhost_broker, tmp_path) as release:
        assert release.replicas(2)
        assert release.replicas(1)
        assert ticking(release.runtime, lambda: len(release.kubernetes.series(CPU, container="worker")) == 1)


def test_rabbitmqs_own_metrics_of_a_local_node(broker: Broker) -> None:
    if broker.metrics_url is None:
        pytest.skip("the broker that was given has none that we know of")
    params = {"family": list(local_metrics.RABBITMQ_FAMILIES), "vhost": "/"}
    with direct.client(broker.metrics_url, timeout_seconds=10) as client:
        text = client.get("/metrics/detailed", params=params).raise_for_status().text
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"rabbitmq_detailed_queue_messages_ready", "rabbitmq_detailed_queue_consumers"} <= names or not names
