"""Recording on a cluster: what is read through the API, and that the recording can be replayed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from harness import processes
from harness.autoscaling.duration import duration_seconds
from harness.chart import yaml_strict
from harness.cli import main
from harness.errors import HarnessError
from harness.hpa.recorder import pod_document
from harness.hpa.recording import record

SELECTOR = "app=io"
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
OWNER = {"matchLabels": {"scaledobject.keda.sh/name": "io"}}
HPA = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "keda-hpa-io", "namespace": "exams"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "io"},
        "minReplicas": 1,
        "maxReplicas": 9,
        "metrics": [
            CPU,
            {
                "type": "External",
                "external": {
                    "metric": {"name": "s0-rabbitmq-io", "selector": OWNER},
                    "target": {"type": "AverageValue", "averageValue": "200"},
                },
            },
        ],
    },
    "status": {"currentReplicas": 1, "desiredReplicas": 1},
}
POD = {
    "metadata": {"name": "io-1"},
    "spec": {
        "containers": [{"name": "worker", "resources": {"requests": {"cpu": "200m", "memory": "1Gi"}}}],
        "initContainers": [
            {"name": "once", "resources": {"requests": {"cpu": "4"}}},
            {"name": "sidecar", "restartPolicy": "Always", "resources": {"requests": {"cpu": "50m"}}},
        ],
    },
    "status": {
        "phase": "Running",
        "startTime": "2026-11-26T09:00:00Z",
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-26T08:59:00Z"},
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-26T09:00:20Z"},
        ],
    },
}
SAMPLE = {
    "metadata": {"name": "io-1"},
    "timestamp": "2026-11-26T09:30:00Z",
    "window": "15.5s",
    "containers": [
        {"name": "worker", "usage": {"cpu": "100m", "memory": "300Mi"}},
        {"name": "sidecar", "usage": {"cpu": "25m", "memory": "10Mi"}},
    ],
}
AT_NINE = 1795683600.0


class Cluster(BaseHTTPRequestHandler):
    """One autoscaler, its target and its metrics, at the paths where Kubernetes has them."""

    external = True

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        selector = parse_qs(address.query).get("labelSelector", [""])[0]
        answers: dict[tuple[str, str], Any] = {
            ("/apis/autoscaling/v2/namespaces/exams/horizontalpodautoscalers/keda-hpa-io", ""): HPA,
            ("/apis/apps/v1/namespaces/exams/deployments/io/scale", ""): {
                "spec": {"replicas": 2},
                "status": {"replicas": 1, "selector": SELECTOR},
            },
            ("/api/v1/namespaces/exams/pods", SELECTOR): {"items": [POD]},
            ("/apis/metrics.k8s.io/v1beta1/namespaces/exams/pods", SELECTOR): {"items": [SAMPLE]},
        }
        if self.external:
            path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/exams/s0-rabbitmq-io"
            answers[path, "scaledobject.keda.sh/name=io"] = {"items": [{"value": "5200"}]}
        found = answers.get((address.path, selector))
        body = json.dumps(found or {"kind": "Status", "code": 404}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


class WithoutExternal(Cluster):
    external = False


@pytest.fixture
def cluster(request, tmp_path, monkeypatch) -> Iterator[None]:
    with ThreadingHTTPServer((processes.LOOPBACK, 0), getattr(request, "param", Cluster)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://{processes.LOOPBACK}:{server.server_address[1]}"
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": address}}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        }
        (tmp_path / "kubeconfig").write_text(yaml_strict.dump_all([kubeconfig]))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        yield
        server.shutdown()


def harness(*arguments: Any) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["hpa", *map(str, arguments)])
    return ended.value.code or 0


@pytest.mark.usefixtures("cluster")
def test_a_recording_is_what_the_controller_reads_and_can_be_replayed(capsys, tmp_path):
    manifest, file = tmp_path / "hpa.json", tmp_path / "seen.jsonl"
    recorded = ("record", "-n", "exams", "--name", "keda-hpa-io", "--seconds", 1, "--every", 0.4)
    assert harness(*recorded, "--manifest", manifest) == 0
    out, err = capsys.readouterr()
    seen = [json.loads(line) for line in out.splitlines()]
    assert err == f"{len(seen)} observations\n"
    times = [one.pop("t") for one in seen]
    assert times == sorted(times)
    assert seen[0] == {
        "replicas": {"spec": 2, "status": 1},
        "pods": [
            {
                "name": "io-1",
                "phase": "Running",
                "startTime": AT_NINE,
                "ready": True,
                "lastTransition": AT_NINE + 20,
                "requests": {"cpu": "250m"},  # the sidecar asks for no memory, so the pod has no request
                "deleting": False,
                "usage": {"cpu": "125m", "memory": "325058560"},
                "timestamp": AT_NINE + 1800,
                "window": 15.5,
            }
        ],
        "external": {"s0-rabbitmq-io": ["5200"]},
        "unavailable": [],
        "status": HPA["status"],
    }
    file.write_text(out)
    assert harness("replay", "--hpa", manifest, "--observations", file) == 0
    decided = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["desired"] for one in decided] == [4] * len(seen)
    assert decided[0]["reason"] == (
        "s0-rabbitmq-io 5,200 (target 200 a pod) asks for 26: 2 -> 4, limited by one sync may reach 4 from 2"
    )


@pytest.mark.parametrize("cluster", [WithoutExternal], indirect=True)
@pytest.mark.usefixtures("cluster")
def test_a_metric_that_cannot_be_read_is_unavailable(capsys):
    assert harness("record", "-n", "exams", "--name", "keda-hpa-io", "--seconds", 1, "--every", 10) == 0
    (seen,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (seen["external"], seen["unavailable"]) == ({}, ["s0-rabbitmq-io"])


@pytest.mark.usefixtures("cluster")
def test_what_cannot_be_recorded_is_named(capsys, monkeypatch):
    assert harness("record", "-n", "exams", "--name", "other", "--seconds", 1) == 2
    assert capsys.readouterr().err == "error: the API server answers 404 Not Found\n"
    jobs = {"type": "Pods", "pods": {"metric": {"name": "jobs"}}}
    monkeypatch.setitem(HPA["spec"], "metrics", [jobs])
    assert harness("record", "-n", "exams", "--name", "keda-hpa-io", "--seconds", 1) == 2
    assert "autoscaler keda-hpa-io: Pods metrics are not recorded" in capsys.readouterr().err
    monkeypatch.setitem(HPA["spec"], "scaleTargetRef", {"apiVersion": "example.com/v1", "kind": "Box", "name": "b"})
    assert harness("record", "-n", "exams", "--name", "keda-hpa-io", "--seconds", 1) == 2
    assert "autoscaler keda-hpa-io scales a Box of example.com/v1" in capsys.readouterr().err


def test_without_a_cluster(capsys, monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert harness("record", "--name", "a", "--seconds", 1) == 2
    assert "KUBECONFIG is not set" in capsys.readouterr().err


def test_a_pod_that_waits_has_no_sample_and_no_condition():
    pod = {"metadata": {"name": "a", "deletionTimestamp": "2026-11-26T09:00:00Z"}, "spec": {"containers": [{}]}}
    assert pod_document(pod, None) == {
        "name": "a",
        "phase": "Pending",
        "startTime": None,
        "ready": None,
        "lastTransition": None,
        "requests": {},
        "deleting": True,
    }


@pytest.mark.parametrize(
    ("text", "seconds"), [("1m2.5s", 62.5), ("15s", 15), ("900ms", 0.9), ("1h0m0s", 3600), ("0s", 0)]
)
def test_durations(text, seconds):
    assert duration_seconds(text) == pytest.approx(seconds)


class Clock:
    """Time that goes on in sleep, and while something looks."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def recorded(looks: list[float | str], *, seconds: float) -> tuple[list[float], list[str]]:
    """Record with looks that take so long, or fail with a word; return when each began, and the failures."""
    clock, failed = Clock(), []
    script = iter(looks)

    def look() -> dict[str, Any]:
        began = clock.now
        match next(script, 0.0):
            case str(problem):
                raise HarnessError(problem)
            case duration:
                clock.sleep(duration)
        return {"t": began - 100.0}

    found = record(look, seconds=seconds, every_seconds=1.0, clock=clock, sleep=clock.sleep, failed=failed)
    return [seen["t"] for seen in found], failed


def test_looks_are_evenly_spaced_and_end():
    assert recorded([], seconds=4) == ([0, 1, 2, 3, 4], [])
    assert recorded([0.5, 2.2], seconds=5) == ([0, 1, 4, 5], [])


def test_a_look_that_fails_is_left_out_but_not_the_first():
    assert recorded([0.0, "gone", 0.0, "away"], seconds=4) == ([0, 2, 4], ["gone", "away"])
    with pytest.raises(HarnessError, match="no such thing"):
        recorded(["no such thing"], seconds=4)
