"""Half an hour of a release's series, under the names that the exporter, the rules and Kubernetes give them.

Written as Prometheus' own blocks by promtool, so that a real Prometheus has a past without a test that waits for it.
The figures are made up; which series there are, and their labels, are what matters.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

END = 1_760_000_400.0  # a whole minute
SECONDS, STEP_SECONDS = 1800, 15
OWN = {"namespace": "local", "release": "celery"}
CLASSES = {"io": ("send_email", "fetch_page"), "cpu": ("make_pdf",)}
BUCKETS = ("0.5", "5", "+Inf")

Labels = Mapping[str, str]


def gauges(share: float) -> Iterator[tuple[str, Labels, float]]:
    """Yield what has a value at a moment; `share` is how much of the half hour is over."""
    yield "celery_workers_exporter_up", OWN, 1
    for name, tasks in CLASSES.items():
        own, queue = {**OWN, "class": name}, {**OWN, "class": name, "queue": name}
        for metric, value in (
            ("celery_workers_workers", 2),
            ("celery_workers_tasks_active", 3),
            ("celery_workers_worker_concurrency", 4),
            ("celery_workers:cpu_of_limit:ratio", 0.4),
            ("celery_workers:memory_of_limit:ratio", 0.5),
            ("celery_workers:scaling_events:count1h", 2),
            ("celery_workers:scaling_reversals:count1h", 0),
            ("celery_workers:requested_cost:per_hour", 0.2),
        ):
            yield metric, own, value
        for metric, value in (
            ("celery_workers_queue_limit_messages", 5000),
            ("celery_workers_queue_ttl_seconds", 3600),
            ("celery_workers_queue_oldest_seconds", 4),
            ("celery_workers_queue_info", 1),
            ("celery_workers:queue_ready:messages", 1000 * share),
            ("celery_workers:queue_unacked:messages", 3),
            ("celery_workers:queue_consumers:count", 2),
            ("celery_workers:queue_fill:ratio", 0.2 * share),
            ("celery_workers:throughput:per_second", 7),
            ("celery_workers:task_failures:ratio5m", 0),
            ("celery_workers:latency_seconds:avg_5m", 2),
            ("celery_workers:latency_seconds:p95_5m", 3),
            ("celery_workers:latency_normal:seconds", 2),
        ):
            yield metric, queue, value
        for task in tasks:
            yield "celery_workers:task_cost:per_task1h", {**own, "task": task}, 0.001
        yield from of_kubernetes(name)


def of_kubernetes(name: str) -> Iterator[tuple[str, Labels, float]]:
    """Yield what Kubernetes says of a class."""
    worker = f"celery-{name}-worker"
    deployment = {"namespace": "local", "deployment": worker}
    scaler = {"namespace": "local", "horizontalpodautoscaler": f"keda-hpa-{worker}"}
    pod = {"namespace": "local", "pod": f"{worker}-5d9f-x1", "container": "worker"}
    for metric, value in (("spec_min", 1), ("spec_max", 5), ("status_current", 2), ("status_desired", 3)):
        yield f"kube_horizontalpodautoscaler_{metric}_replicas", scaler, value
    yield "kube_deployment_status_replicas_ready", deployment, 2
    for resource, value in (("cpu", 0.5), ("memory", 2**28)):
        yield "kube_pod_container_resource_requests", {**pod, "resource": resource}, value
        yield "kube_pod_container_resource_limits", {**pod, "resource": resource}, value
    yield "container_memory_working_set_bytes", pod, 2**27


def counters(share: float) -> Iterator[tuple[str, Labels, float]]:
    """Yield what only grows."""
    for name, tasks in CLASSES.items():
        pod = {"namespace": "local", "pod": f"celery-{name}-worker-5d9f-x1"}
        yield "container_cpu_usage_seconds_total", {**pod, "container": "worker"}, 300 * share
        yield "container_network_receive_bytes_total", pod, 1e6 * share
        yield "container_network_transmit_bytes_total", pod, 1e6 * share
        queue = {**OWN, "class": name, "queue": name}
        yield from _histogram("celery_workers_task_latency_seconds", queue, 900 * share)
        for task in tasks:
            yield "celery_workers_tasks_total", {**queue, "task": task, "outcome": "succeeded"}, 900 * share
            yield from _histogram("celery_workers_task_run_seconds", {**queue, "task": task}, 900 * share)


def _histogram(name: str, labels: Labels, count: float) -> Iterator[tuple[str, Labels, float]]:
    for part, bound in zip((0.5, 0.9, 1.0), BUCKETS, strict=True):
        yield f"{name}_bucket", {**labels, "le": bound}, part * count
    yield f"{name}_sum", labels, 2 * count
    yield f"{name}_count", labels, count


def write(directory: Path, *, without: str = "nothing") -> None:
    """Make a Prometheus' data directory of it, without the series whose name begins with `without`."""
    lines: dict[str, list[str]] = {}
    for step in range(SECONDS // STEP_SECONDS + 1):
        share = step * STEP_SECONDS / SECONDS
        for name, labels, value in (*gauges(share), *counters(share)):
            if not name.startswith(without):
                told = ",".join(f'{key}="{value}"' for key, value in labels.items())
                at = END - SECONDS + step * STEP_SECONDS
                lines.setdefault(name, []).append(f"{name}{{{told}}} {value:g} {at:.0f}")
    # Untyped, so that parts of histograms may stand by themselves.
    source = directory.with_suffix(".om")
    source.write_text("".join("\n".join(each) + "\n" for each in lines.values()) + "# EOF\n")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", source, directory]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
