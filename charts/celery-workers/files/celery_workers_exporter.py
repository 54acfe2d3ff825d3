"""Metrics of a release for Prometheus: `python celery_workers_exporter.py` serves /metrics.

It reads the workers' events and takes note of dead letters, on a connection each, and now and then looks at the queues
(BROKER_MANAGEMENT_URL), the circuit breakers (CELERY_WORKERS_REDIS_URL) and the orders of the person on call
(CELERY_WORKERS_OPS_DIR) where it is told of them. It takes no task and no dead letter away, and asks no worker
anything. One a release: each would count everything.

CELERY_WORKERS_METRICS_PORT is the port (0: any free one, written to `metrics-port` in CELERY_WORKERS_STATE_DIR),
CELERY_WORKERS_METRICS_HOST the address, CELERY_WORKERS_METRICS_BUCKETS the histograms' bounds in seconds. Needs Celery
and the Python package prometheus_client. While the broker is away everything but exporter_up stays as it was, without
what would lie: the workers' numbers.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import celeryconfig
from celery import Celery
from celery_workers_looks import QueueFacts, QueueLooks, open_breakers
from celery_workers_ops import read_paused
from celery_workers_redis import make_shared

try:
    from celery_workers_feeds import Events, Letters, touch
    from celery_workers_gauges import Gauges
    from celery_workers_tally import Tally
    from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics, start_http_server
except ImportError as error:
    if (error.name or "").partition(".")[0] != "prometheus_client":
        raise
    sys.exit("the exporter needs the Python package prometheus_client in the application's image")

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

PORT = 9808
BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
LOOK_SECONDS = 5.0  # RabbitMQ's own statistics are renewed that often


class Topology:
    """The release's topology.json, read again when it changes: limits act without a restart."""

    def __init__(self, path: Path) -> None:
        """Read it."""
        self.path = path
        self.stamp = path.stat().st_mtime_ns
        self.document: dict[str, Any] = celeryconfig.load_topology()

    def refresh(self) -> bool:
        """Whether it changed; a file that cannot be read leaves things as they are."""
        try:
            stamp = self.path.stat().st_mtime_ns
            if stamp == self.stamp:
                return False
            self.document, self.stamp = json.loads(self.path.read_text(encoding="utf-8")), stamp
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be read: %s", self.path, error)
            return False
        return True


class Watch(threading.Thread):
    """Looks at queues, breakers and the topology again and again, and at orders when asked."""

    def __init__(self, topology: Topology, tally: Tally, environment: Mapping[str, str]) -> None:
        """Look at what the environment names."""
        super().__init__(name="watch", daemon=True)
        self.topology = topology
        self.tally = tally
        url = environment.get("BROKER_MANAGEMENT_URL")
        self.queue_looks = QueueLooks(url, environment.get("CELERY_BROKER_CA_FILE") or None) if url else None
        self.shared = make_shared(topology.document, environment)
        self.queues: dict[str, QueueFacts] | None = None
        self.breakers: dict[str, bool] | None = None
        self.ops_directory = environment.get("CELERY_WORKERS_OPS_DIR")
        self.resting: frozenset[str] = frozenset()

    def run(self) -> None:
        """Look until the process ends."""
        while True:
            self.look()
            time.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Look once."""
        if self.topology.refresh():
            self.tally.follow(self.topology.document)
        if self.queue_looks is not None:
            self.queues = self.queue_looks.look(self.topology.document)
        self.breakers = open_breakers(self.shared)

    def paused(self) -> frozenset[str] | None:
        """Return the queues that rest by order; None where nobody could order it."""
        if not self.ops_directory:
            return None
        paused = read_paused(self.ops_directory)
        if paused is not None:  # what cannot be read leaves things as they are, as at the workers
            self.resting = paused
        return self.resting


def parse_buckets(text: str | None) -> tuple[float, ...]:
    """Return the histograms' bounds of "0.1,1,10"."""
    return tuple(sorted({float(part) for part in text.split(",")})) if text else BUCKETS


def serve(registry: CollectorRegistry, environment: Mapping[str, str]) -> int:
    """Serve /metrics; return the port."""
    port = int(environment.get("CELERY_WORKERS_METRICS_PORT") or PORT)
    host = environment.get("CELERY_WORKERS_METRICS_HOST")
    for address in (host,) if host else ("::", "0.0.0.0"):  # noqa: S104 -- a pod is asked from outside
        try:
            server, _ = start_http_server(port, addr=address, registry=registry)
        except OSError as failure:
            if host or address != "::":
                raise
            logger.info("no IPv6 here (%s)", failure)
            continue
        return int(server.server_port)
    raise AssertionError("the last address serves or raises")


def main(environment: Mapping[str, str]) -> int:
    """Run until SIGTERM; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    logging.getLogger("kombu").setLevel(logging.ERROR)  # says with a whole traceback what Feed says in a line
    disable_created_metrics()
    topology = Topology(Path(celeryconfig.__file__).with_name("topology.json"))
    app = Celery("exporter", set_as_current=False)
    app.config_from_object("celeryconfig")
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    lock = threading.Lock()
    tally = Tally(topology.document, parse_buckets(environment.get("CELERY_WORKERS_METRICS_BUCKETS")), registry)
    events = Events(app, tally, lock)
    watch = Watch(topology, tally, environment)
    registry.register(Gauges(events, watch))
    port = serve(registry, environment)
    directory = environment.get("CELERY_WORKERS_STATE_DIR")
    if directory:
        Path(directory, "metrics-port").write_text(str(port), encoding="utf-8")
    watch.start()
    if topology.document.get("dead_letter_exchange"):
        letters = Letters(app, tally, lock, topology.document)
        threading.Thread(target=letters.run, name="letters", daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    touch("heartbeat")
    events.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
