"""Tasks of all classes run through, and RabbitMQ has what the values say."""

from __future__ import annotations

import json

import pytest

from examx.catalogue import TASKS
from harness.cluster import outside
from tests.cluster.place import Space, eventually

EACH = 3


@pytest.mark.timeout(400)
def test_every_task_of_the_catalogue_leaves_its_effect(space: Space) -> None:
    space.rabbitmq()
    space.services({})
    space.install("prod,keda,kind", values=outside.worker_values())
    ids = space.publish(dict.fromkeys(TASKS, EACH))
    assert len(ids) == EACH * len(TASKS)

    def all_done() -> bool:
        return set(ids) <= space.done().keys()

    eventually(all_done, seconds=120, what=f"effects of {len(ids)} tasks", every=2.0)
    _check_topology(space)


def _check_topology(space: Space) -> None:
    topology = json.loads(space.get("configmap", "celery-config")["data"]["topology.json"])
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
