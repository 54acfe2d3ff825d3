"""Where a local run's metrics are read: an endpoint for the series a cluster's own exporters have, and the rest."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

import httpx

from harness import direct
from harness.errors import InputError
from harness.monitoring.configuration import Target
from harness.monitoring.local_series import NAMESPACE, Snapshot, exposition
from harness.runtime.base import Manifest
from harness.runtime.local import LocalRuntime

EXPORTER_COMPONENT = "exporter"
KUBERNETES_PATH, EXPORTER_PATH = "/metrics", "/exporter"
STATE_VOLUME, PORT_FILE = "state", "metrics-port"
REFRESH_SECONDS = 1.0
RELAY_SECONDS = 5.0
# As the chart's PodMonitor asks RabbitMQ.
RABBITMQ_FAMILIES = ("queue_coarse_metrics", "queue_consumer_count")
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class LocalMetrics:
    """Serves what a runtime told last; the runtime's thread tells it, by `refresh`, those of the server read it."""

    def __init__(self, runtime: LocalRuntime, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._runtime = runtime
        self._clock = clock
        self._next_at = 0.0
        self._snapshot = Snapshot()
        self._exporter_port: int | None = None

    def refresh(self) -> None:
        """Look at the runtime, at most once a second; a controller of its."""
        now = self._clock()
        if now < self._next_at:
            return
        self._next_at = now + REFRESH_SECONDS
        names = self._runtime.autoscaler_names()
        runtime = self._runtime
        self._snapshot = Snapshot(runtime.scales(), names, runtime.containers(), runtime.triggers())
        self._exporter_port = self._find_exporter()

    def answer(self, path: str) -> tuple[int, bytes]:
        """Return status and text of a path."""
        if path == KUBERNETES_PATH:
            return 200, exposition(self._snapshot)
        if path != EXPORTER_PATH:
            return 404, b"there is /metrics and /exporter\n"
        if self._exporter_port is None:
            return 503, b"no exporter runs (exporter.enabled)\n"
        try:
            answer = direct.get(f"http://127.0.0.1:{self._exporter_port}/metrics", timeout_seconds=RELAY_SECONDS)
        except httpx.HTTPError as error:
            return 503, f"the exporter does not answer: {type(error).__name__}\n".encode()
        return answer.status_code, answer.content

    def _find_exporter(self) -> int | None:
        """Return the port of the exporter's pod; another pod has another one."""
        for pod in self._runtime.pods():
            try:
                text = (self._runtime.volume(pod.name, STATE_VOLUME) / PORT_FILE).read_text()
                return int(text)
            except (OSError, ValueError, InputError):
                continue
        return None


@contextmanager
def serve(metrics: LocalMetrics) -> Iterator[str]:
    """Serve on a free port of the loopback until the block ends; yield host:port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer."""
            status, text = metrics.answer(self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", TEXT)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Say nothing: a run's terminal is its own."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def targets(address: str, *, release: str, exporter: bool, rabbitmq_url: str | None, vhost: str) -> list[Target]:
    """Return what Prometheus reads of a local run, whose endpoint is at `address`; the exporter where there is one."""
    labels = {"namespace": NAMESPACE, "release": release}
    found = [Target("kubernetes", f"http://{address}{KUBERNETES_PATH}")]
    if exporter:
        found.append(Target("celery-exporter", f"http://{address}{EXPORTER_PATH}", labels))
    if rabbitmq_url is not None:
        query = urlencode({"family": RABBITMQ_FAMILIES, "vhost": vhost}, doseq=True)
        found.append(Target("rabbitmq", f"{rabbitmq_url}/metrics/detailed?{query}", labels))
    return found


def has_exporter(manifests: Sequence[Manifest]) -> bool:
    """Whether a release runs an exporter."""
    return any(map(_is_exporter, manifests))


def on_free_port(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Return the manifests with an exporter that takes any free port of the loopback: a machine may have many runs."""
    return [_on_free_port(manifest) if _is_exporter(manifest) else manifest for manifest in manifests]


def _is_exporter(manifest: Manifest) -> bool:
    labels = (manifest.get("metadata") or {}).get("labels") or {}
    return manifest.get("kind") == "Deployment" and labels.get("app.kubernetes.io/component") == EXPORTER_COMPONENT


def _on_free_port(manifest: Manifest) -> Manifest:
    changed = copy.deepcopy(dict(manifest))
    own = {"CELERY_WORKERS_METRICS_PORT": "0", "CELERY_WORKERS_METRICS_HOST": "127.0.0.1"}
    for container in changed["spec"]["template"]["spec"]["containers"]:
        kept = [variable for variable in container.get("env") or () if variable["name"] not in own]
        container["env"] = [*kept, *({"name": name, "value": value} for name, value in own.items())]
    return changed
