"""What `harness hpa replay` reads of a run.

`autoscaling.jsonl` has one line a sync, with all the autoscaler saw and what it decided; `autoscalers.jsonl` has each
autoscaler as it was read at first, and again each time it was changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.autoscaling import ControllerConfig, Decision, Observation, PodSample, format_milli

SYNCS = "autoscaling.jsonl"
AUTOSCALERS = "autoscalers.jsonl"


def sync_line(deployment: str, observation: Observation, decision: Decision, *, now: float) -> dict[str, Any]:
    """Return the line; times are seconds on one axis, amounts are Kubernetes quantities."""
    return {
        "t": now,  # unrounded: periods of exactly so many seconds count
        "deployment": deployment,
        "replicas": {"spec": observation.spec_replicas, "status": observation.status_replicas},
        "pods": [_pod(pod) for pod in observation.pods],
        "external": {
            name: [format_milli(each) for each in values] for name, values in observation.external_milli.items()
        },
        "unavailable": sorted(observation.unavailable),
        "desired": decision.desired,
        "reason": decision.reason,
    }


def _pod(pod: PodSample) -> dict[str, Any]:
    resources = sorted({*pod.requests_milli, "cpu", "memory"})
    usage = {name: pod.usage_milli.get(name) for name in resources}
    return {
        "name": pod.name,
        "phase": pod.phase,
        "startTime": pod.start_time_seconds,
        "ready": pod.ready,
        "lastTransition": pod.last_transition_seconds,
        "requests": {name: format_milli(milli) for name, milli in pod.requests_milli.items()},
        "usage": {name: None if milli is None else format_milli(milli) for name, milli in usage.items()},
        "timestamp": pod.metric_timestamp_seconds,
        "window": pod.metric_window_seconds,
        "deleting": pod.deleting,
    }


def autoscaler_line(
    deployment: str, manifest: Mapping[str, Any], controller: ControllerConfig, *, now: float, fresh: bool
) -> dict[str, Any]:
    """Return the line of an autoscaler that counts from now on; a fresh one remembers nothing yet."""
    flags = asdict(controller)
    return {"t": now, "deployment": deployment, "fresh": fresh, "manifest": manifest, "controller": flags}


def append(path: Path, line: dict[str, Any]) -> None:
    """Add one line and have it on disk at once."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
