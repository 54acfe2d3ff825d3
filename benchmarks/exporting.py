"""A release's exporter as the chart's Deployment starts it, for benchmarks and tests."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from benchmarks import workers
from harness import direct, processes

READY_SECONDS = 30.0

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Exporter:
    """One exporter that serves."""

    pid: int
    url: str
    log: Path
    state: Path

    def text(self) -> str:
        """Return what Prometheus would read."""
        return direct.get(self.url, timeout_seconds=10).raise_for_status().text

    def series(self, name: str, **labels: str) -> dict[Labels, float]:
        """Return the samples of a name that have these labels, each with its other labels."""
        wanted = set(labels.items())
        return {
            frozenset(set(sample.labels.items()) - wanted): sample.value
            for family in text_string_to_metric_families(self.text())
            for sample in family.samples
            if sample.name == name and wanted <= set(sample.labels.items())
        }

    def value(self, name: str, **labels: str) -> float | None:
        """Return the sum of those samples, None where there is none."""
        found = self.series(name, **labels)
        return sum(found.values()) if found else None


@contextlib.contextmanager
def run_exporter(
    config: Path,
    amqp_url: str,
    directory: Path,
    *,
    management_url: str | None = None,
    environment: Mapping[str, str] | None = None,
    name: str = "exporter",
) -> Iterator[Exporter]:
    """Start one and yield it once it serves; it may not be connected yet. It ends with the block."""
    state, log = directory / name, directory / f"{name}.log"
    state.mkdir(parents=True, exist_ok=True)
    port_file = state / "metrics-port"
    port_file.unlink(missing_ok=True)
    settings = {
        **workers.base_environment(config, amqp_url),
        "CELERY_WORKERS_STATE_DIR": str(state),
        "CELERY_WORKERS_METRICS_HOST": "127.0.0.1",
        "CELERY_WORKERS_METRICS_PORT": "0",
        **({"BROKER_MANAGEMENT_URL": management_url} if management_url else {}),
        **(environment or {}),
    }
    process = processes.start([sys.executable, str(config / "celery_workers_exporter.py")], log=log, env=settings)
    try:
        processes.wait_until(
            lambda: port_file.exists() and bool(port_file.read_text()),
            timeout_seconds=READY_SECONDS,
            what="the exporter",
            process=process,
        )
        yield Exporter(process.pid, f"http://127.0.0.1:{port_file.read_text()}/metrics", log, state)
    finally:
        processes.stop(process, grace_seconds=5.0)
