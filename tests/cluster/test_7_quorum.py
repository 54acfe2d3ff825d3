"""Quorum queues on three nodes of RabbitMQ: a node that goes takes no task with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from harness.cluster import outside, rabbitmq_cluster
from harness.cluster.fixture import BROKER_SECRET
from harness.cluster.namespace import Namespace
from harness.cluster.versions import versions
from tests.cluster.results import Note
from tests.cluster.space import RELEASE, Space, eventually

pytestmark = pytest.mark.full

NODES = 3
TASK = "forgot_password_mail"
WORK_SECONDS = 1.0
# Priorities need RabbitMQ 4.3 on quorum queues.
QUORUM = {
    "broker": {"version": "4.0"},
    "routes": [],
    "workers": {
        "cpu": None,
        "mixed": None,
        "io": {"concurrency": 20, "replicas": {"min": 2}, "scaler": "none",
               "queues": {"io": {"type": "quorum", "maxPriority": None}}},
    },
}  # fmt: skip


@pytest.fixture
def clustered(space: Space) -> Iterator[Space]:
    """A namespace with three nodes of RabbitMQ and the stand-in services."""
    if not space.place.is_own_kind:
        pytest.skip("the nodes' volumes are directories of our own kind cluster")
    namespace = Namespace(space.kubectl, space.name, space.place.node_directory)
    paths = [namespace.shared(rabbitmq_cluster.claim_name(number)) or "" for number in range(NODES)]
    owner = rabbitmq_cluster.User("celery", space.password)
    cluster = rabbitmq_cluster.Cluster(
        space.name, versions().public_images["rabbitmq"], [owner], nodes=NODES, volume_paths=paths
    )
    login = f"{owner.name}:{owner.password}@{cluster.host}"
    urls = {"amqpUrl": f"amqp://{login}:5672//", "managementUrl": f"http://{login}:15672"}
    metadata = {"namespace": space.name, "name": BROKER_SECRET}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": urls}
    services = outside.Outside(space.name, space.place.image, namespace.shared(outside.CLAIM) or "")
    try:
        space.kubectl.apply([*rabbitmq_cluster.manifests(cluster), secret], doing="applying RabbitMQ")
        space.kubectl.apply(outside.manifests(services), doing="applying the stand-in services")
        space.rollout(f"statefulset/{rabbitmq_cluster.NAME}", f"deployment/{outside.NAME}")
        yield space
    finally:
        volumes = rabbitmq_cluster.volume_names(cluster)
        space.kubectl.run(
            "delete", "persistentvolume", *volumes, "--wait=false", "--ignore-not-found", doing="deleting volumes"
        )


def queue(space: Space, name: str) -> dict[str, Any]:
    """Return a queue as the management API shows it."""
    with space.management() as api:
        return next(one for one in api.queue_documents() if one["name"] == name)


def described(space: Space, name: str) -> dict[str, Any]:
    """Return a queue once the management API has collected all there is to say of it."""

    def whole() -> dict[str, Any] | None:
        found = queue(space, name)
        return found if {"effective_policy_definition", "delivery_limit"} <= found.keys() else None

    return dict(eventually(whole, seconds=60, what=f"policy and delivery limit of {name}"))


def require_quorum(space: Space) -> None:
    """Fail where queues, their members or their policies are not what the release wants."""
    topology = json.loads(space.get("configmap", f"{RELEASE}-config")["data"]["topology.json"])
    wanted = topology["queues"]["io"]
    for name in ("io", "io.dead"):
        found = described(space, name)
        assert (found["type"], found["arguments"]) == ("quorum", {"x-queue-type": "quorum"})
        assert len(found["members"]) == NODES
    found = described(space, "io")
    assert found["effective_policy_definition"] == {
        "max-length": wanted["max_length_messages"],
        "overflow": "reject-publish",
        "message-ttl": wanted["message_ttl_seconds"] * 1000,
        "dead-letter-exchange": "celery.dlx",
        "dead-letter-routing-key": "io.dead",
        "dead-letter-strategy": "at-least-once",
        "consumer-timeout": wanted["consumer_timeout_seconds"] * 1000,
        "delivery-limit": wanted["max_deliveries"] - 1,
    }
    assert found["delivery_limit"] == wanted["max_deliveries"] - 1  # not RabbitMQ 4's own 20
    assert described(space, "io.dead")["effective_policy_definition"] == {"delivery-limit": -1}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("at_once", [False, True], ids=["deleted", "killed"])
def test_a_node_goes_and_no_task_is_lost(clustered: Space, at_once: bool, record_property: Note) -> None:
    space = clustered
    space.install("prod,kind", values=QUORUM)
    eventually(lambda: len(queue(space, "io")["online"]) == NODES, seconds=60, what="all members of the queue")
    space.wait_for("Complete", "jobs", "--all", seconds=60)
    require_quorum(space)
    with space.latencies(smtp=WORK_SECONDS):
        space.ask("start_steady", {"tasks": [TASK], "per_second": 20, "most_seconds": 300})
        before = space.publish({TASK: 200})
        leader = re.sub(r"^rabbit@([^.]+)\..*", r"\1", queue(space, "io")["leader"])
        space.delete_pods(leader, at_once=at_once)
        during = space.publish({TASK: 200})
        eventually(lambda: queue(space, "io")["leader"].partition("@")[2].partition(".")[0] != leader,
                   seconds=60, what="another leader")  # fmt: skip
        space.rollout(f"statefulset/{rabbitmq_cluster.NAME}")
        eventually(lambda: len(queue(space, "io")["online"]) == NODES, seconds=90, what="the node to be back")
        steady = space.ask("stop_steady", seconds=90)
        space.require_done([*before, *during, *steady["accepted"]], seconds=180, what=f"{leader} deleted")
    record_property("published meanwhile", {outcome: len(ids) for outcome, ids in steady.items()})
    record_property("ran twice", len(space.delivered_again(before)))
    space.settled()
    assert space.restarts() == {}
    assert queue(space, "io.dead")["messages"] == 0
