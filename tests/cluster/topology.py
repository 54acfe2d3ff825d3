"""RabbitMQ's exchanges, bindings, queues and policies, held against the topology the release was rendered with."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from tests.cluster.space import RELEASE, Space, eventually

EXCHANGE = "celery"
STATISTICS_SECONDS = 20.0  # RabbitMQ makes them every 5 s; a queue that is new is not in them
POLICY_PRIORITY = 100  # above a cluster's own catch-all policies


def rendered(space: Space) -> dict[str, Any]:
    """Return the topology.json the release's pods have."""
    return dict(json.loads(space.get("configmap", f"{RELEASE}-config")["data"]["topology.json"]))


def require_as_rendered(space: Space) -> None:
    """Fail where RabbitMQ has something else than the release's topology.json says."""
    topology = rendered(space)
    with space.management() as api:
        queues = eventually(
            lambda: _with_policies(topology["queues"], api.queue_documents()),
            seconds=STATISTICS_SECONDS,
            what="the policy of each queue in RabbitMQ's statistics",
        )
        policies, bindings, exchanges = api.policies(), api.bindings(), api.exchanges()
    dead = topology["dead_letter_exchange"]
    for name in (EXCHANGE, dead):
        assert (exchanges[name]["type"], exchanges[name]["durable"]) == ("direct", True), name
    assert _routed(bindings, EXCHANGE) == {(name, name) for name in topology["queues"]}
    dead_queues = {queue["dead_letter_queue"] for queue in topology["queues"].values()}
    assert _routed(bindings, dead) == {(name, name) for name in dead_queues}
    for name, wanted in topology["queues"].items():
        queue = queues[name]
        assert queue["durable"] is True
        assert queue["arguments"] == {"x-max-priority": wanted["max_priority"], "x-queue-type": wanted["type"]}
        policy = policies[queue["policy"]]  # of all that match the one that holds
        assert policy["name"] == f"{topology['release']}-{name}"
        assert (policy["pattern"], policy["apply-to"]) == (f"^{re.escape(name)}$", "queues")
        assert policy["priority"] == POLICY_PRIORITY
        assert policy["definition"] == _definition(topology, wanted), name
        assert queues[wanted["dead_letter_queue"]]["messages"] == 0


def _definition(topology: Mapping[str, Any], queue: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "max-length": queue["max_length_messages"],
        "overflow": queue["overflow"],
        "message-ttl": queue["message_ttl_seconds"] * 1000,
        "dead-letter-exchange": topology["dead_letter_exchange"],
        "dead-letter-routing-key": queue["dead_letter_queue"],
        "consumer-timeout": queue["consumer_timeout_seconds"] * 1000,
    }


def _with_policies(names: Collection[str], documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]] | None:
    """Return all queues by name; None while one of `names` shows no policy."""
    queues = {queue["name"]: queue for queue in documents}
    return queues if all(queues.get(name, {}).get("policy") for name in names) else None


def _routed(bindings: list[dict[str, Any]], exchange: str) -> set[tuple[str, str]]:
    """Return the exchange's routing keys, each with the queue it leads to."""
    return {(one["routing_key"], one["destination"]) for one in bindings if one["source"] == exchange}
