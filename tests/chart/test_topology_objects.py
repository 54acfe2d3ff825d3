"""The topology operator's objects say what the Job does, for the same values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.chart.render import environment_files, render, topology
from harness.chart.values import CHART
from tests.local.worker_release import load_file
from tests.recording import RecordingApi

JOB = load_file(CHART / "files" / "apply_topology.py")
BROKERS = {"operator": "quorum", "external": "classic"}


def objects(mode: str, version: str | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return topology.json and the operator's objects for production's values."""
    values: dict[str, Any] = {
        "broker": {"mode": mode, "topology": "operator", "version": version},
        "queueDefaults": {"type": BROKERS[mode]},
    }
    if mode == "external":
        values["broker"]["topologyOperator"] = {"clusterName": "shared"}
    else:
        # Priorities on quorum queues need 4.3.
        values["workers"] = {name: {"queues": {name: {"maxPriority": None}}} for name in ("io", "cpu", "mixed")}
        values["workers"]["cpu"]["queues"]["cpu"]["overflow"] = "reject-publish"
    manifests = render(environment_files("prod"), set_values=values)
    found = [manifest for manifest in manifests if manifest["apiVersion"] == "rabbitmq.com/v1beta1"]
    return topology(manifests), found


def named(found: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["spec"]["name"]: one["spec"] for one in found if one["kind"] == kind}


@pytest.mark.parametrize("mode", BROKERS)
@pytest.mark.parametrize("version", [None, "3.13", "4.0", "4.3"])
def test_policies_and_queues_are_the_jobs(mode: str, version: str | None) -> None:
    document, found = objects(mode, version)
    numbers = JOB.version_numbers(version or "3.10")
    policies = {name: policy["definition"] for name, policy in named(found, "Policy").items()}
    wanted, queues = {}, {}
    for name, queue in document["queues"].items():
        dead = queue["dead_letter_queue"]
        wanted[JOB.policy_name(document, name)] = JOB.policy_definition(document, queue, numbers)
        wanted[JOB.policy_name(document, dead)] = JOB.dead_letter_definition(queue, numbers)
        queues[name] = JOB.queue_arguments(queue)
        queues[dead] = {"x-queue-type": queue["type"]}
    assert policies == {name: definition for name, definition in wanted.items() if definition}
    assert {
        name: {"x-queue-type": queue["type"], **queue.get("arguments", {})}
        for name, queue in named(found, "Queue").items()
    } == queues


@pytest.mark.parametrize("mode", BROKERS)
def test_every_queue_is_bound_and_policies_reach_it_alone(mode: str) -> None:
    document, found = objects(mode, "4.3")
    bound = {(one["spec"]["source"], one["spec"]["destination"]) for one in found if one["kind"] == "Binding"}
    queues = {queue["dead_letter_queue"]: document["dead_letter_exchange"] for queue in document["queues"].values()}
    queues |= dict.fromkeys(document["queues"], JOB.EXCHANGE)
    assert bound == {(exchange, queue) for queue, exchange in queues.items()}
    assert named(found, "Exchange").keys() == set(queues.values())
    for name, policy in named(found, "Policy").items():
        assert policy["priority"] == JOB.POLICY_PRIORITY
        queue = name.removeprefix(f"{document['release']}-")
        assert policy["pattern"].replace("\\", "") == f"^{queue}$"


def test_delay_queues_are_the_jobs() -> None:
    values = {
        "broker": {"topology": "operator", "topologyOperator": {"clusterName": "shared"}},
        "delayedDelivery": {"enabled": True},
    }
    manifests = render(environment_files("prod"), set_values=values)
    found = [one for one in manifests if one["apiVersion"] == "rabbitmq.com/v1beta1"]
    wanted = RecordingApi()
    JOB.declare_delays(wanted, topology(manifests), 0.0)
    exchanges = {name: one["type"] for name, one in named(found, "Exchange").items() if "_celery_delayed_" in name}
    assert exchanges == wanted.exchanges
    queues = {name: one for name, one in named(found, "Queue").items() if "_celery_delayed_" in name}
    assert {name: {"x-queue-type": one["type"], **one["arguments"]} for name, one in queues.items()} == wanted.queues
    bindings = [one["spec"] for one in found if one["kind"] == "Binding"]
    assert {
        (one["source"], one["destination"], one["routingKey"])
        for one in bindings
        if "_celery_delayed_" in one["source"]
    } == wanted.bindings
    objects = [(one["kind"], one["metadata"]["name"]) for one in found]
    assert len(objects) == len(set(objects))


def test_two_queues_whose_names_kubernetes_cannot_have_stay_two(tmp_path: Path) -> None:
    values = {
        "broker": {"topology": "operator", "topologyOperator": {"clusterName": "shared"}},
        "workers": {"io": {"queues": {"Big_Mail": {}, "big-mail": {}}}},
    }
    manifests = render(environment_files("prod"), set_values=values)
    names = [
        one["metadata"]["name"] for one in manifests if one["kind"] == "Queue" and "mail" in one["metadata"]["name"]
    ]
    assert len(set(names)) == 4
