"""What goes wrong in a cluster loses no task."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest

from harness.cluster import outside
from tests.cluster.place import Space, eventually

MAILS, UPLOADS = 150, 20
MAIL_SECONDS = 4.0


@pytest.fixture
def busy(space: Space) -> Space:
    """A release whose mails take some seconds each, so that a fault meets tasks in work."""
    space.rabbitmq()
    space.services({"smtp": {"latency_seconds": MAIL_SECONDS}})
    space.install("prod,keda,kind", values=outside.worker_values())
    return space


def delete_pod(space: Space) -> None:
    """The kubelet asks the worker to stop and waits for its tasks."""
    pod = space.names("pods", "celery-workers/class=io")[0]
    space.kubectl.run("delete", "pod", pod, "-n", space.name, "--wait=false", doing=f"deleting {pod}")


def kill_pod(space: Space) -> None:
    """The pod is gone at once: what it had in work is delivered again."""
    pod = space.names("pods", "celery-workers/class=io")[0]
    space.kubectl.run("delete", "pod", pod, "-n", space.name, "--grace-period=0", "--force", doing=f"killing {pod}")


def delete_broker(space: Space) -> None:
    """RabbitMQ comes back with its volume."""
    space.kubectl.run("delete", "pod", "rabbitmq-0", "-n", space.name, doing="deleting RabbitMQ's pod")
    space.rollout("statefulset/rabbitmq")


def roll_out(space: Space) -> None:
    """A new version of every worker, one pod after the other."""
    workers = [f"deployment/celery-{name}-worker" for name in ("io", "cpu", "mixed")]
    space.kubectl.run("rollout", "restart", *workers, "-n", space.name, doing="restarting the workers")
    for worker in workers:
        space.rollout(worker)


def drain_node(space: Space) -> None:
    """A node is emptied for maintenance; disruption budgets let one pod of a class go at a time."""
    pods = space.get("pods", "--selector", "celery-workers/class=io")["items"]
    node = pods[0]["spec"]["nodeName"]
    try:
        space.kubectl.run(
            "drain", node, "--pod-selector=celery-workers/class", "--delete-emptydir-data", "--timeout=150s",
            doing=f"draining {node}", seconds=160,
        )  # fmt: skip
    finally:
        space.kubectl.run("uncordon", node, doing=f"opening {node} again")


def restart_node(space: Space) -> None:
    """A node goes down with all its pods, at once, and comes back; on kind only."""
    if space.place.engine is None:
        return
    pods = space.get("pods", "--selector", "celery-workers/class=io")["items"]
    node = pods[0]["spec"]["nodeName"]
    space.place.engine.run("restart", "--time", "5", node, doing=f"restarting {node}", timeout_seconds=90)
    # Until the kubelet reports again the API still shows what was there before.
    eventually(lambda: _restarts(space) > 0, seconds=120, what=f"the kubelet of {node} to report its pods' restart")
    for what in ("statefulset/rabbitmq", "deployment/services"):
        space.rollout(what)


@pytest.mark.timeout(900)
def test_every_accepted_task_is_done_whatever_happens_to_pods_broker_and_nodes(busy: Space) -> None:
    faults: list[Callable[[Space], None]] = [delete_pod, kill_pod, delete_broker, roll_out, drain_node, restart_node]
    duplicates = {}
    for fault in faults:
        ids = set(busy.publish({"forgot_password_mail": MAILS, "bulk_upload_questions_task": UPLOADS}))
        fault(busy)
        for worker in ("io", "cpu", "mixed"):
            busy.rollout(f"deployment/celery-{worker}-worker")

        def all_done(ids: set[str] = ids) -> bool:
            return ids <= busy.done().keys()

        eventually(all_done, seconds=120, what=f"all {len(ids)} tasks after {fault.__name__}", every=2.0)
        duplicates[fault.__name__] = _delivered_twice(busy, ids)
        if fault in (delete_pod, delete_broker):
            assert _restarts(busy) == 0, f"restarts after {fault.__name__}"
    # Mail is at least once: only what was in work when something was cut off may come twice.
    assert duplicates["delete_pod"] == 0, duplicates
    assert all(count <= MAILS for count in duplicates.values()), duplicates
    print(f"mails delivered twice: {duplicates}")


def _delivered_twice(space: Space, ids: set[str]) -> int:
    read = "urllib.request.urlopen(os.environ['EXAMX_SERVICES_URL'] + '/_journal').read().decode()"
    code = f"import os, urllib.request; print({read})"
    lines = [json.loads(line) for line in space.python(code).splitlines() if line.strip()]
    sent = Counter(line["id"] for line in lines if line["kind"] == "mail" and line["status"] == 250)
    return sum(count - 1 for task, count in sent.items() if task in ids)


def _restarts(space: Space) -> int:
    pods = space.get("pods", "--selector", "celery-workers/class")["items"]
    return sum(status["restartCount"] for pod in pods for status in pod["status"]["containerStatuses"])
