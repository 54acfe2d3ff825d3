"""What the exporter looks at now and then: queues by the management API, breakers in Redis. Either may be away."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from apply_topology import Api
from topology_policies import TopologyError, policy_definition, version_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from celery_workers_redis import Shared

logger = logging.getLogger(__name__)

# What RabbitMQ has counted of a queue since it started, by our name for it.
COUNTS = {
    "published": "publish",
    "delivered": "deliver_get",
    "acknowledged": "ack",
    "redelivered": "redeliver",
}
COLUMNS = ",".join(
    (
        "name",
        "messages_ready",
        "head_message_timestamp",
        "effective_policy_definition",
        *(f"message_stats.{name}" for name in COUNTS.values()),
    )
)
MOST_BREAKERS = 100
# What of a policy keeps tasks and is reckoned with; a later RabbitMQ may spell the rest otherwise.
KEYS_THAT_MATTER = ("max-length", "overflow", "message-ttl", "dead-letter-exchange")


@dataclass(frozen=True)
class QueueFacts:
    """A queue as the broker has it. `oldest_at` is when its first message was published, in epoch seconds.

    `is_told` is False for one so young that RabbitMQ has no figures of it yet: its policy is not known then.
    """

    limit_messages: float | None
    ttl_seconds: float | None
    oldest_at: float | None
    ready: int
    policy_missing: bool
    is_told: bool = True
    counts: Mapping[str, float] = field(default_factory=dict)


class QueueLooks:
    """Asks the management API, one virtual host."""

    def __init__(self, url: str, ca_file: str | None) -> None:
        """Raise TopologyError for a URL that is none."""
        self.api = Api(url, ca_file)
        self.version: tuple[int, ...] | None = None
        self.silent = False

    def look(self, topology: Mapping[str, Any]) -> dict[str, QueueFacts] | None:
        """Return each of the release's queues; None when the API does not answer."""
        try:
            if self.version is None:
                self.version = version_numbers(self.api.call("GET", "overview")["rabbitmq_version"])
            documents = self.api.call("GET", "queues", self.api.vhost, query=f"?columns={COLUMNS}")
        except (OSError, HTTPException, ValueError, KeyError, TypeError, TopologyError) as error:
            if not self.silent:
                logger.warning("the management API does not answer: %s", error)
            self.silent = True
            return None
        self.silent = False
        return queue_facts(topology, documents, self.version)


def queue_facts(topology: Mapping[str, Any], documents: Any, version: tuple[int, ...]) -> dict[str, QueueFacts]:
    """Return what documents of the management API say of a release's queues."""
    found = {one["name"]: one for one in documents}
    return {
        name: facts_of(policy_definition(topology, queue, version), found.get(name))
        for name, queue in topology["queues"].items()
    }


def facts_of(wanted: Mapping[str, Any], document: Mapping[str, Any] | None) -> QueueFacts:
    """Return one queue's facts. A policy that limits otherwise than the release says is there all the same."""
    if document is None:
        return QueueFacts(None, None, None, 0, policy_missing=True)
    if "effective_policy_definition" not in document:
        return QueueFacts(None, None, None, 0, policy_missing=False, is_told=False)
    # RabbitMQ gives an empty list where there is no policy.
    policy: Mapping[str, Any] = document.get("effective_policy_definition") or {}
    ready = int(document.get("messages_ready") or 0)
    stamp, ttl = document.get("head_message_timestamp"), policy.get("message-ttl")
    return QueueFacts(
        limit_messages=policy.get("max-length"),
        ttl_seconds=None if ttl is None else ttl / 1000,
        oldest_at=float(stamp) if ready and isinstance(stamp, int | float) and stamp > 0 else None,
        ready=ready,
        policy_missing=any(key in wanted and key not in policy for key in KEYS_THAT_MATTER),
        counts=counts_of(document.get("message_stats") or {}),
    )


def counts_of(stats: Mapping[str, Any]) -> dict[str, float]:
    """Return a queue's counts; RabbitMQ leaves out what has not happened yet."""
    return {name: float(stats.get(theirs) or 0) for name, theirs in COUNTS.items()}


def open_breakers(shared: Shared) -> dict[str, bool] | None:
    """Return whether each circuit breaker refuses calls now, by name; None when Redis does not say.

    The state is that of celery_workers.breaker_store: an override of a person's counts before what failures have made.
    """

    def read(client: Any) -> dict[str, bool] | None:
        names = sorted(client.smembers(f"{shared.prefix}:breakers"))[:MOST_BREAKERS]
        pipeline = client.pipeline(transaction=False)
        pipeline.time()
        for name in names:
            pipeline.hget(shared.key("breaker", name), "open_until")
            pipeline.hget(shared.key("breaker-override", name), "mode")
        (seconds, microseconds), *fields = pipeline.execute()
        now_ms = seconds * 1000 + microseconds / 1000
        return {name: is_open(fields[2 * place], fields[2 * place + 1], now_ms) for place, name in enumerate(names)}

    return shared.ask(read, None)


def is_open(open_until: str | None, mode: str | None, now_ms: float) -> bool:
    """Whether a breaker refuses calls. One that lets a caller try is not open."""
    return mode == "open" if mode else bool(open_until) and now_ms < float(open_until or 0)


def age_seconds(oldest_at: float, now: float | None = None) -> float:
    """Return how long ago a message was published; its timestamp has whole seconds."""
    return max((time.time() if now is None else now) - oldest_at, 0.0)
