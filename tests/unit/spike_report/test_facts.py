"""What a run was made of is read from the render, not typed again."""

from __future__ import annotations

from harness.spike import facts

TOPOLOGY = {
    "classes": {
        "io": {
            "pool": "gevent",
            "concurrency": 200,
            "queues": ["io"],
            "scaler": "keda",
            "replicas": {"min": 1, "max": 5},
        }
    },
    "queues": {
        "io": {"class": "io", "type": "classic", "max_length_messages": 5000, "overflow": "reject-publish"},
        "old": {"class": "io", "max_length_messages": None},
    },
}


def deployment(*requests: dict[str, str] | None, labels: dict[str, str] | None = None) -> dict:
    containers = [{"resources": {"requests": request}} if request else {"resources": {}} for request in requests]
    return {
        "kind": "Deployment",
        "metadata": {"name": "celery-io-worker", "labels": {facts.CLASS_LABEL: "io"} if labels is None else labels},
        "spec": {"template": {"spec": {"containers": containers}}},
    }


def test_a_class_is_its_deployment_and_topology() -> None:
    manifests = [{"kind": "ConfigMap", "metadata": {"name": "x"}}, deployment({"cpu": "200m", "memory": "2Gi"})]
    assert facts.classes_of(manifests, TOPOLOGY) == {
        "io": {
            "deployment": "celery-io-worker",
            "pool": "gevent",
            "concurrency": 200,
            "queues": ["io"],
            "scaler": "keda",
            "minimum": 1,
            "maximum": 5,
            "cpu_request_cores": 0.2,
            "cpu_limit_cores": None,
            "memory_request_bytes": 2 * 1024**3,
        }
    }


def test_requests_are_a_pods_sum_and_unknown_when_one_is_missing() -> None:
    both = facts.classes_of([deployment({"cpu": "1"}, {"cpu": "500m", "memory": "1Gi"})], TOPOLOGY)["io"]
    assert (both["cpu_request_cores"], both["memory_request_bytes"]) == (1.5, None)
    assert facts.classes_of([deployment(None)], TOPOLOGY)["io"]["cpu_request_cores"] is None


def test_a_deployment_that_is_no_worker_is_left_out() -> None:
    assert facts.classes_of([deployment({"cpu": "1"}, labels={})], TOPOLOGY) == {}


def test_a_limit_that_is_not_set_is_none() -> None:
    queues = facts.queues_of(TOPOLOGY)
    assert (queues["io"]["max_length_messages"], queues["old"]["max_length_messages"]) == (5000, None)
    assert queues["old"]["overflow"] is None


def test_versions_leave_out_what_is_not_known() -> None:
    found = facts.versions(rabbitmq="3.10.8", helm=None)
    assert found["rabbitmq"] == "3.10.8"
    assert "helm" not in found
    assert {"python", "celery"} <= found.keys()
