"""Looks at autoscalers through the API once a second, in the form harness/autoscaling replays."""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from harness.chart.manifests import CLASS_LABEL
from harness.cluster.api import Api
from harness.errors import HarnessError

PERIOD_SECONDS = 1.0
STOP_SECONDS = 30.0


@dataclass
class Watch:
    """Observations of one HorizontalPodAutoscaler and its Deployment, oldest first."""

    api: Api
    namespace: str
    hpa: str
    deployment: str
    class_name: str
    seen: list[dict[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _metrics: list[tuple[str, str]] | None = None  # name and selector of each external one

    def look(self) -> None:
        """Add what is to be seen now; an API that does not answer is noted."""
        try:
            self.seen.append(self._observe())
        except (HarnessError, LookupError, ValueError) as error:
            self.errors.append(f"{type(error).__name__} {error}")

    def replicas(self) -> list[int]:
        """Return the numbers of replicas that were wanted, in order, each once in a row."""
        counts = [one["replicas"]["spec"] for one in list(self.seen)]
        return [count for i, count in enumerate(counts) if i == 0 or counts[i - 1] != count]

    def status_writes(self) -> int:
        """Return how often the controller was seen to have written the autoscaler's status."""
        pairs = itertools.pairwise(list(self.seen))
        return sum(1 for before, after in pairs if before["status"] != after["status"])

    def manifest(self) -> dict[str, Any]:
        """Return the autoscaler."""
        return self.api.get("autoscaling/v2", "horizontalpodautoscalers", self.namespace, self.hpa)

    def _observe(self) -> dict[str, Any]:
        selector = f"{CLASS_LABEL}={self.class_name}"
        deployment = self.api.get("apps/v1", "deployments", self.namespace, self.deployment)
        pods = self.api.objects("v1", "pods", self.namespace, selector)
        samples = self.api.objects("metrics.k8s.io/v1beta1", "pods", self.namespace, selector)
        usage = {one["metadata"]["name"]: one for one in samples}
        external = self._external()
        # The status last: once it shows a sync, the observation before this one was made before that sync.
        status = self.manifest().get("status", {})
        return {
            "t": time.time(),
            "replicas": {"spec": deployment["spec"]["replicas"], "status": deployment["status"].get("replicas", 0)},
            "pods": [_pod(pod, usage.get(pod["metadata"]["name"])) for pod in pods],
            "external": external,
            "status": status,
        }

    def _external(self) -> dict[str, list[str]]:
        if self._metrics is None:
            metrics = self.manifest()["spec"]["metrics"]
            given = [one["external"]["metric"] for one in metrics if one["type"] == "External"]
            self._metrics = [(one["name"], _selector(one["selector"]["matchLabels"])) for one in given]
        return {
            name: [item["value"] for item in self.api.external_metric(self.namespace, name, selector)]
            for name, selector in self._metrics
        }


@contextlib.contextmanager
def recording(watches: Sequence[Watch]) -> Iterator[None]:
    """Look once a second for the block's time."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(PERIOD_SECONDS - time.time() % PERIOD_SECONDS):
            for one in watches:
                one.look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(STOP_SECONDS)


def _selector(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items())


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
