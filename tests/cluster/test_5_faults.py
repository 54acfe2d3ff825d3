"""What goes wrong in a cluster loses no task."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.cluster.api import Api
from tests.cluster.place import Place
from tests.cluster.results import Note
from tests.cluster.space import CLASSES, WORKERS, Space, eventually, is_ready

WORK_SECONDS = 4.0
# What a killed child of a prefork worker had in work is published anew by its parent, with Celery's delay of 3 minutes.
RETRY_SECONDS = 180.0
HANG_SECONDS = 180
# Sends a signal to all processes of a container, found by the namespace they share. Run on the container's node.
SIGNAL = """
set -e
container=$(crictl ps --quiet --name "$2" --label "io.kubernetes.pod.namespace=$1")
main=$(crictl inspect --output go-template --template '{{.info.pid}}' "$container")
namespace=$(readlink "/proc/$main/ns/pid")
for process in /proc/[0-9]*; do
  if [ "$(readlink "$process/ns/pid")" = "$namespace" ]; then kill "-$3" "${process#/proc/}" && echo "$process"; fi
done
"""
DRAINED = "celery-workers.example/drained"
MAILS = 150
LOAD = {"forgot_password_mail": MAILS, "bulk_upload_questions_task": 12, "check_db_connections": 24}


@pytest.fixture
def busy(release: Space) -> Iterator[Space]:
    """The release while tasks take some seconds each, so that a fault meets tasks in work."""
    with release.latencies(smtp=WORK_SECONDS, storage=WORK_SECONDS, wait=WORK_SECONDS):
        yield release


@pytest.mark.timeout(300)
def test_a_disruption_budget_lets_one_pod_of_a_class_go_at_a_time(release: Space, place: Place) -> None:

    def two_ready() -> list[str]:
        names = [pod["metadata"]["name"] for pod in release.workers("io") if is_ready(pod)]
        return names if len(names) == 2 else []

    first, second = eventually(two_ready, seconds=60, what="two pods of io")
    with contextlib.closing(Api(place.kubectl.kubeconfig)) as api:
        eventually(lambda: api.evict(release.name, first), seconds=30, what="the first eviction")
        assert api.evict(release.name, second) is False
        # Once another pod has taken the first one's place.
        eventually(lambda: api.evict(release.name, second), seconds=90, what="the second eviction")
    release.settled()


@pytest.mark.timeout(700)
@pytest.mark.parametrize("away_seconds", [0, pytest.param(180, marks=pytest.mark.full)])
def test_without_a_broker_nobody_is_ready_and_nobody_restarts(
    busy: Space, away_seconds: int, record_property: Note
) -> None:
    before = busy.publish(LOAD)
    busy.scale_broker(0)
    gone_at = time.monotonic()

    def ready_ones() -> list[dict[str, Any]]:
        return [pod for pod in busy.workers() if is_ready(pod)]

    try:
        # Two probes of 5 s, which a kubelet on a machine without a core to spare makes late and slowly.
        eventually(lambda: not ready_ones(), seconds=120, what="readiness to fall without a broker")
    except AssertionError:
        print(busy.stacks(ready_ones()))  # what they wait for; pytest shows it
        raise
    time.sleep(max(0.0, gone_at + away_seconds - time.monotonic()))
    busy.scale_broker(1)
    busy.ready()  # Celery's reconnect waits up to 30 s
    after = busy.publish(LOAD)
    busy.require_done([*before, *after], seconds=120, what="tasks published before and after")
    assert busy.restarts() == {}
    again = busy.delivered_again(before)
    record_property("broker away seconds", round(time.monotonic() - gone_at))
    record_property("ran twice", len(again))
    assert len(again) <= len(before)
    assert busy.delivered_again(after) == {}


@contextlib.contextmanager
def hanging_broker(space: Space) -> Iterator[None]:
    """RabbitMQ's processes are stopped for the block's time: its port is open, and nobody is behind it."""
    engine = space.place.engine
    if engine is None:
        pytest.skip("processes are stopped on our own kind cluster only")
    node = space.get("pod", "rabbitmq-0")["spec"]["nodeName"]

    def send(signal: str) -> None:
        command = ["exec", node, "sh", "-c", SIGNAL, "sh", space.name, "rabbitmq", signal]
        assert engine.run(*command, doing=f"sending SIG{signal} to RabbitMQ").split(), "no process"

    send("STOP")
    try:
        yield
    finally:
        send("CONT")


@pytest.mark.full
@pytest.mark.timeout(700)
def test_a_broker_that_hangs_restarts_nobody(busy: Space, record_property: Note) -> None:
    before = busy.publish(LOAD)
    with hanging_broker(busy):
        time.sleep(HANG_SECONDS)
        assert busy.restarts() == {}
    eventually(lambda: [pod for pod in busy.workers() if is_ready(pod)], seconds=120, what="readiness to come back")
    busy.ready()
    after = busy.publish(LOAD)
    busy.require_done([*before, *after], seconds=150, what="tasks published before and after")
    # Whoever did not find back is restarted by now: heartbeat old, and the broker answers.
    assert busy.restarts() == {}
    again = busy.delivered_again(before)
    record_property("ran twice", len(again))
    assert len(again) <= len(before)


def kill_pod(space: Space) -> None:
    """The pod is gone at once: what it had in work is delivered again."""
    space.delete_pods(space.workers("io")[0]["metadata"]["name"], at_once=True)


def delete_broker(space: Space) -> None:
    """RabbitMQ's pod is deleted and comes back with its volume."""
    space.kubectl.run("delete", "pod", "rabbitmq-0", "-n", space.name, doing="deleting RabbitMQ's pod")
    space.rollout("statefulset/rabbitmq")


def roll_out(space: Space) -> None:
    """Every worker is started anew, one pod after the other."""
    workers = [f"deployment/celery-{name}-worker" for name in CLASSES]
    space.kubectl.run("rollout", "restart", *workers, "-n", space.name, doing="restarting the workers")


@contextlib.contextmanager
def closed(space: Space, node: str) -> Iterator[None]:
    """No new pod comes to a node for the block's time."""
    space.kubectl.run("cordon", node, doing=f"closing {node}")
    try:
        yield
    finally:
        space.kubectl.run("uncordon", node, doing=f"opening {node} again")


def drain_node(space: Space) -> None:
    """A node is emptied for maintenance; disruption budgets let one pod of a class go at a time."""
    if not space.place.is_own_kind:
        pytest.skip("nodes are drained on our own kind cluster only")
    node = space.workers("io")[0]["spec"]["nodeName"]
    # A drain takes the pods of all namespaces: a label of this moment keeps it to this one's.
    label = f"{DRAINED}={space.name}"
    space.kubectl.run("label", "pods", "-n", space.name, "--selector", WORKERS, label, doing="marking the workers")
    with closed(space, node):
        space.kubectl.run(
            "drain", node, f"--pod-selector={label}", "--delete-emptydir-data", "--timeout=150s",
            doing=f"draining {node}", seconds=160,
        )  # fmt: skip


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", [kill_pod, delete_broker, roll_out, drain_node])
def test_every_accepted_task_is_done_after(busy: Space, fault: Callable[[Space], None], record_property: Note) -> None:
    ids = busy.publish(LOAD)
    fault(busy)
    busy.require_done(ids, seconds=150, what=f"tasks in work during {fault.__name__}")
    busy.settled()
    again = busy.delivered_again(ids)
    record_property("ran twice", len(again))
    if fault in (roll_out, drain_node):
        assert again == {}
    if fault is delete_broker:
        assert busy.restarts() == {}


@pytest.mark.full
@pytest.mark.timeout(700)
def test_a_node_that_goes_down_with_all_workers_loses_no_task(busy: Space, place: Place, record_property: Note) -> None:
    if place.engine is None:
        pytest.skip("nodes are restarted on our own kind cluster only")
    # Tasks have patience with a service that is away, but not for as long as a node needs.
    stays = busy.get("pods", "--selector", "app.kubernetes.io/name=services")["items"][0]["spec"]["nodeName"]
    with closed(busy, stays):
        roll_out(busy)
        busy.settled()
    (node,) = {pod["spec"]["nodeName"] for pod in busy.workers()}
    ids = busy.publish(LOAD)
    place.engine.run("restart", "--time", "5", node, doing=f"restarting {node}", timeout_seconds=90)
    # Until the kubelet reports again the API still shows what was there before.
    eventually(busy.restarts, seconds=120, what=f"the kubelet of {node} to report its pods' restart")
    busy.rollout("statefulset/rabbitmq", "deployment/services")
    busy.wait_for("Ready", "pod/client", seconds=60)
    busy.require_done(ids, seconds=RETRY_SECONDS + 60, what=f"tasks in work when {node} went down")
    record_property("ran twice", len(busy.delivered_again(ids)))
    busy.settled()
