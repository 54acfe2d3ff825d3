"""RabbitMQ's queues and policies, held against the topology the release was rendered with."""

from __future__ import annotations

import json

from tests.cluster.space import RELEASE, Space


def require_as_rendered(space: Space) -> None:
    """Fail where a queue or its policy is not what the release's topology.json says."""
    topology = json.loads(space.get("configmap", f"{RELEASE}-config")["data"]["topology.json"])
    with space.management() as api:
        queues = {queue["name"]: queue for queue in api.queue_documents()}
        policies = api.policies()
    applied = {policy["pattern"]: policy["definition"] for policy in policies.values()}
    for name, wanted in topology["queues"].items():
        queue = queues[name]
        assert queue["durable"] is True
        assert queue["arguments"] == {"x-max-priority": wanted["max_priority"], "x-queue-type": wanted["type"]}
        definition = next(d for pattern, d in applied.items() if pattern.strip("^$").replace("\\", "") == name)
        assert definition["max-length"] == wanted["max_length_messages"]
        assert definition["overflow"] == wanted["overflow"]
        assert definition["message-ttl"] == wanted["message_ttl_seconds"] * 1000
        assert definition["dead-letter-routing-key"] == wanted["dead_letter_queue"]
        assert definition["consumer-timeout"] == wanted["consumer_timeout_seconds"] * 1000
        assert queues[wanted["dead_letter_queue"]]["messages"] == 0
