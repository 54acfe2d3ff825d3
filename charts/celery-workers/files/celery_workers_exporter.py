"""Metrics of a release for Prometheus: `python celery_workers_exporter.py` serves /metrics.

It reads the workers' events and takes note of dead letters, on a connection each, and now and then looks at the queues
(BROKER_MANAGEMENT_URL) and the circuit breakers (CELERY_WORKERS_REDIS_URL) where it is told of them. It takes no task
and no dead letter away, and asks no worker anything. One a release: each would count everything.

CELERY_WORKERS_METRICS_PORT is the port (0: any free one, written to `metrics-port` in CELERY_WORKERS_STATE_DIR),
CELERY_WORKERS_METRICS_HOST the address, CELERY_WORKERS_METRICS_BUCKETS the histograms' bounds in seconds. Needs Celery
and the Python package prometheus_client. While the broker is away everything but exporter_up stays as it was, without
what would lie: the workers' numbers.
"""

from __future__ import annotations

import contextlib
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
from celery.events.event import get_exchange
from celery_workers_letters import HEADER, notes_queue
from celery_workers_looks import QueueFacts, QueueLooks, age_seconds, open_breakers
from celery_workers_redis import make_shared
from kombu import Exchange, Queue, binding, uuid
from kombu.mixins import ConsumerMixin
from kombu.utils.limits import TokenBucket

try:
    from celery_workers_tally import Tally, death_of
    from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics, start_http_server
    from prometheus_client.core import GaugeMetricFamily
except ImportError as error:
    if (error.name or "").partition(".")[0] != "prometheus_client":
        raise
    sys.exit("the exporter needs the Python package prometheus_client in the application's image")

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kombu import Connection

logger = logging.getLogger(__name__)

PORT = 9808
BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
HEARTBEAT_SECONDS = 10
CONNECT_SECONDS = 10.0
BEAT_EVERY_SECONDS = 2.0
LOOK_SECONDS = 5.0  # RabbitMQ's own statistics are renewed that often
AGAIN_SECONDS = 5.0  # after a refusal, as of an exchange that the topology Job has not made yet
# Events and notes that wait for us: more than that, and the oldest go. Nobody else may suffer for our being slow.
MOST_EVENTS = 100_000
MOST_LETTERS = 10_000
MOST_LETTER_BYTES = 32 * 1024 * 1024
LETTERS_EXPIRE_SECONDS = 600  # letters of that long ago are still counted after a restart of ours


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


class Feed(ConsumerMixin):
    """A connection that is taken up again whenever it ends. Subclasses say what they read."""

    def __init__(self, app: Celery, tally: Tally, lock: threading.Lock) -> None:
        """Tell `tally`, holding `lock`."""
        self.restart_limit = TokenBucket(1 / AGAIN_SECONDS)
        self.connection: Connection = app.connection_for_read(
            heartbeat=HEARTBEAT_SECONDS, connect_timeout=CONNECT_SECONDS
        )
        self.tally = tally
        self.lock = lock
        self.beat_at = 0.0

    def on_connection_error(self, exc: Exception, interval: float) -> None:
        """Say so; the text of the error may hold no URL."""
        self.lost()
        logger.warning("the broker does not answer (%s), again in %.0f s", type(exc).__name__, interval)

    def on_iteration(self) -> None:
        """Keep the connection alive: kombu does it in quiet seconds only."""
        now = time.monotonic()
        if now - self.beat_at >= BEAT_EVERY_SECONDS:
            self.beat_at = now
            self.beat()

    def beat(self) -> None:
        """Do what is due every few seconds, in the loop."""
        self._live.heartbeat_check()

    def consume(self, *arguments: Any, **options: Any) -> Any:
        """Read until the connection ends, or the broker refuses something."""
        try:
            yield from super().consume(*arguments, **options)
        except (*self.connection.connection_errors, *self.connection.channel_errors) as error:
            logger.warning("%s: %s: %s", type(self).__name__, type(error).__name__, error)
            raise
        finally:
            self.lost()

    @contextlib.contextmanager
    def establish_connection(self) -> Iterator[Connection]:
        """Connect, however long it takes; kombu would wait half a minute between two attempts."""
        with self.connection.clone() as connection:
            connection.ensure_connection(
                self.on_connection_error,
                max_retries=None,
                interval_start=1,
                interval_step=1,
                interval_max=AGAIN_SECONDS,
            )
            yield connection

    def on_consume_ready(self, connection: Connection, channel: Any, consumers: Any, **options: Any) -> None:
        """Remember the connection that lives: kombu's loop works on a clone."""
        self._live = connection

    def lost(self) -> None:
        """Note that nothing comes."""


class Events(Feed):
    """The workers' events, and the exporter's own sign of life."""

    up = False

    def get_consumers(self, Consumer: Any, channel: Any) -> list[Any]:  # noqa: N803 -- kombu's name
        """Declare a queue of our own; it goes with the connection."""
        queue = Queue(
            f"celeryev.{uuid()}",
            exchange=get_exchange(channel.connection.client),
            routing_key="#",
            durable=False,
            exclusive=True,
            auto_delete=True,
            max_length=MOST_EVENTS,
        )
        return [Consumer(queues=[queue], on_message=self.read, no_ack=True)]

    def on_consume_ready(self, connection: Connection, channel: Any, consumers: Any, **options: Any) -> None:
        """Note that events come."""
        super().on_consume_ready(connection, channel, consumers, **options)
        self.up = True
        with self.lock:
            self.tally.connected(time.monotonic())
        logger.info("reading events")

    def lost(self) -> None:
        """Note that none come."""
        self.up = False
        with self.lock:
            self.tally.disconnected()

    def beat(self) -> None:
        """Touch the file that the liveness probe looks at, too."""
        super().beat()
        touch("heartbeat")

    def read(self, message: Any) -> None:
        """Count the events of one message, which has one or a list."""
        try:
            found = json.loads(message.body)
        except ValueError:
            return  # not one of ours
        now = time.monotonic()
        with self.lock:
            for event in found if isinstance(found, list) else [found]:
                self.tally.event(event, now)


class Letters(Feed):
    """Dead letters: RabbitMQ's own through the dead-letter exchange, and the notes workers make of theirs.

    They come to a queue of ours, bounded and let go of when nobody reads it; the dead-letter queues keep theirs.
    """

    def __init__(self, app: Celery, tally: Tally, lock: threading.Lock, topology: Mapping[str, Any]) -> None:
        """Watch the topology's dead-letter exchange."""
        super().__init__(app, tally, lock)
        self.topology = topology

    def get_consumers(self, Consumer: Any, channel: Any) -> list[Any]:  # noqa: N803 -- kombu's name
        """Declare the queue and bind it beside every dead-letter queue."""
        exchange = Exchange(self.topology["dead_letter_exchange"], type="direct", durable=True, no_declare=True)
        dead = sorted({queue["dead_letter_queue"] for queue in self.topology["queues"].values()} - {None})
        queue = Queue(
            notes_queue(self.topology),
            bindings=[binding(exchange, routing_key=name) for name in dead],
            # Durable and not exclusive, as RabbitMQ 4.3 wants it of a queue that others know by name.
            durable=True,
            max_length=MOST_LETTERS,
            max_length_bytes=MOST_LETTER_BYTES,
            expires=LETTERS_EXPIRE_SECONDS,
        )
        return [Consumer(queues=[queue], on_message=self.read, no_ack=True)]

    def on_consume_ready(self, connection: Connection, channel: Any, consumers: Any, **options: Any) -> None:
        """Have the series there from now on."""
        super().on_consume_ready(connection, channel, consumers, **options)
        with self.lock:
            self.tally.watches_letters()
        logger.info("watching dead letters")

    def read(self, message: Any) -> None:
        """Count one."""
        headers = dict(message.headers or {})
        if message.delivery_info.get("exchange"):
            headers.pop(HEADER, None)  # of an earlier life: what RabbitMQ moves it has something to say of itself
        death = death_of(headers, HEADER)
        if death is not None:
            with self.lock:
                self.tally.letter(*death)


class Watch(threading.Thread):
    """Looks at queues, breakers and the topology again and again."""

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


class Gauges:
    """Everything that is so at the moment Prometheus asks."""

    def __init__(self, events: Events, watch: Watch) -> None:
        """Ask the two."""
        self.events = events
        self.watch = watch

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the gauges."""
        up = self.events.up
        yield gauge("celery_workers_exporter_up", "1 while the exporter reads events.", (), {(): float(up)})
        with self.events.lock:
            workers = self.events.tally.workers(time.monotonic())
        if workers is not None:
            counts = {(name,): float(count) for name, (count, _) in workers.items()}
            active = {(name,): float(active) for name, (_, active) in workers.items()}
            yield gauge("celery_workers_workers", "Workers that send heartbeats.", ("class",), counts)
            yield gauge("celery_workers_tasks_active", "Tasks they have in hand.", ("class",), active)
        classes = self.watch.topology.document.get("classes") or {}
        slots = {(name,): float(one["concurrency"]) for name, one in classes.items() if one.get("concurrency")}
        yield gauge("celery_workers_worker_concurrency", "Most tasks one worker has in hand.", ("class",), slots)
        yield from queue_gauges(self.watch.topology.document, self.watch.queues, time.time())
        breakers = {(name,): float(open_now) for name, open_now in (self.watch.breakers or {}).items()}
        if breakers:
            yield gauge("celery_workers_breaker_open", "1 while a breaker refuses calls.", ("breaker",), breakers)


def queue_gauges(
    topology: Mapping[str, Any], facts: Mapping[str, QueueFacts] | None, now: float
) -> Iterator[GaugeMetricFamily]:
    """Return what is known of the queues: limits as the broker has them, else as the release wants them."""
    limits, ttls, infos, oldest, missing = {}, {}, {}, {}, {}
    for name, queue in topology["queues"].items():
        labels, known = (queue["class"], name), (facts or {}).get(name)
        if known is not None and not known.is_told:
            known = None
        limit = known.limit_messages if known else queue.get("max_length_messages")
        ttl = known.ttl_seconds if known else queue.get("message_ttl_seconds")
        if limit is not None:
            limits[labels] = float(limit)
        if ttl is not None:
            ttls[labels] = float(ttl)
        infos[(*labels, queue.get("dead_letter_queue") or "", str(queue.get("max_priority") or ""))] = 1.0
        if known:
            missing[(name,)] = float(known.policy_missing)
            if known.oldest_at is not None:
                oldest[labels] = age_seconds(known.oldest_at, now)
            elif not known.ready:
                oldest[labels] = 0.0
    names = ("class", "queue")
    yield gauge("celery_workers_queue_limit_messages", "Most messages that may wait.", names, limits)
    yield gauge("celery_workers_queue_ttl_seconds", "How long a message may wait.", names, ttls)
    yield gauge(
        "celery_workers_queue_info",
        "A queue of the release.",
        (*names, "dead_letter_queue", "max_priority"),
        infos,
    )
    if facts is not None:
        yield gauge("celery_workers_queue_oldest_seconds", "How long the first message waits.", names, oldest)
        yield gauge("celery_workers_queue_policy_missing", "1 where the release's policy is not.", ("queue",), missing)


def gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    """Return a gauge with its series."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for own, value in values.items():
        family.add_metric(own, value)
    return family


def touch(name: str) -> None:
    """Set the time of a file in the state directory, where there is one."""
    directory = os.environ.get("CELERY_WORKERS_STATE_DIR")
    if directory:
        Path(directory, name).touch()


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
