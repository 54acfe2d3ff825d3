"""Watches autoscalers through the API, once a second, in the form harness/autoscaling replays."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from harness import processes
from harness.cluster.kubectl import Kubectl

SYNC_SECONDS = 15


@contextlib.contextmanager
def api_client(kubectl: Kubectl, directory: Any) -> Iterator[httpx.Client]:
    """Yield a client of the API server, by `kubectl proxy`."""
    port = processes.free_port()
    command = [kubectl.program, "--kubeconfig", kubectl.kubeconfig, "proxy", "--port", str(port)]
    process = processes.start(command, log=directory / "proxy.log")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5.0, trust_env=False) as client:
            processes.wait_until(lambda: _answers(client), timeout_seconds=15, what="kubectl proxy", process=process)
            yield client
    finally:
        processes.stop(process, grace_seconds=2.0)


def _answers(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return client.get("/readyz").is_success
    return False


@dataclass
class Watch:
    """Observations of one HorizontalPodAutoscaler and its Deployment."""

    client: httpx.Client
    namespace: str
    hpa: str
    deployment: str
    class_name: str
    documents: list[dict[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    passed: int = 0  # how many changes the test has seen already

    def look(self) -> None:
        """Add what is to be seen now; an API that does not answer is noted."""
        try:
            self.documents.append(self._observe())
        except (httpx.HTTPError, LookupError, ValueError) as error:
            self.errors.append(f"{type(error).__name__} {error}")

    def replicas(self) -> list[tuple[float, int]]:
        """Return (t, wanted replicas) at the first sight and at every change."""
        seen = [(document["t"], document["replicas"]["spec"]) for document in self.documents]
        return [one for before, one in zip([(0.0, None), *seen], seen, strict=False) if before[1] != one[1]]

    def manifest(self) -> dict[str, Any]:
        path = f"/apis/autoscaling/v2/namespaces/{self.namespace}/horizontalpodautoscalers/{self.hpa}"
        return dict(self._get(path))

    def _observe(self) -> dict[str, Any]:
        selector = quote(f"celery-workers/class={self.class_name}", safe="")
        deployment = self._get(f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{self.deployment}")
        pods = self._get(f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={selector}")["items"]
        path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{self.namespace}/pods?labelSelector={selector}"
        usage = {one["metadata"]["name"]: one for one in self._get(path)["items"]}
        return {
            "t": time.time(),
            "replicas": {"spec": deployment["spec"]["replicas"], "status": deployment["status"].get("replicas", 0)},
            "pods": [_pod(pod, usage.get(pod["metadata"]["name"])) for pod in pods],
            "external": self._external(),
        }

    def _external(self) -> dict[str, list[str]]:
        found = {}
        for metric in self.manifest()["spec"]["metrics"]:
            if metric["type"] == "External":
                name = metric["external"]["metric"]["name"]
                labels = metric["external"]["metric"]["selector"]["matchLabels"]
                selector = quote(",".join(f"{key}={value}" for key, value in labels.items()), safe="")
                path = (
                    f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{self.namespace}/{name}?labelSelector={selector}"
                )
                found[name] = [item["value"] for item in self._get(path)["items"]]
        return found

    def _get(self, path: str) -> Any:
        answer = self.client.get(path)
        answer.raise_for_status()
        return answer.json()


@contextlib.contextmanager
def recording(watches: list[Watch]) -> Iterator[None]:
    """Look once a second for the block's time."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(1.0 - time.time() % 1.0):
            for one in watches:
                one.look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(30)


def _pod(pod: Mapping[str, Any], usage: Mapping[str, Any] | None) -> dict[str, Any]:
    status = pod["status"]
    condition = next((one for one in status.get("conditions", ()) if one["type"] == "Ready"), None)
    requests = pod["spec"]["containers"][0]["resources"].get("requests", {})
    document = {
        "name": pod["metadata"]["name"],
        "phase": status.get("phase", "Pending"),
        "startTime": _seconds(status.get("startTime")),
        "ready": None if condition is None else condition["status"] == "True",
        "lastTransition": None if condition is None else _seconds(condition["lastTransitionTime"]),
        "requests": dict(requests),
        "deleting": "deletionTimestamp" in pod["metadata"],
    }
    if usage is not None:
        document |= {
            "usage": dict(usage["containers"][0]["usage"]),
            "timestamp": _seconds(usage["timestamp"]),
            "window": duration_seconds(usage["window"]),
        }
    return document


def duration_seconds(text: str) -> float:
    """Return what Go's way of writing a duration means.

    >>> duration_seconds("1m2.5s"), duration_seconds("15s"), duration_seconds("900ms")
    (62.5, 15.0, 0.9)
    """
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)(ms|us|[hms])", text))


def _seconds(stamp: str | None) -> float | None:
    return None if stamp is None else datetime.fromisoformat(stamp).timestamp()
