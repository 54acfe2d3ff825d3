"""What a run was made of: the classes and queues rendered, the machine, the versions, the commit."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from harness.autoscaling.quantity import parse_milli

PACKAGES = ("celery", "kombu", "gevent", "locust")
GIT_TIMEOUT_SECONDS = 5.0
CLASS_LABEL = "celery-workers/class"


def classes_of(manifests: Iterable[Mapping[str, Any]], topology: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Describe each worker class: its Deployment, pool, scaler, bounds and what one replica requests."""
    found = {}
    for manifest in manifests:
        name = (manifest.get("metadata", {}).get("labels") or {}).get(CLASS_LABEL)
        if manifest.get("kind") != "Deployment" or name is None:
            continue
        worker = topology.get("classes", {}).get(name, {})
        containers = manifest["spec"]["template"]["spec"]["containers"]
        found[name] = {
            "deployment": manifest["metadata"]["name"],
            "pool": worker.get("pool"),
            "concurrency": worker.get("concurrency"),
            "queues": list(worker.get("queues", [])),
            "scaler": worker.get("scaler"),
            "minimum": worker.get("replicas", {}).get("min"),
            "maximum": worker.get("replicas", {}).get("max"),
            "cpu_request_cores": _together(containers, "requests", "cpu"),
            "cpu_limit_cores": _together(containers, "limits", "cpu"),
            "memory_request_bytes": _together(containers, "requests", "memory"),
        }
    return found


def queues_of(topology: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Describe each work queue's limits; one that is not set is None."""
    keys = ("class", "type", "max_length_messages", "overflow", "message_ttl_seconds", "dead_letter_queue")
    return {name: {key: queue.get(key) for key in keys} for name, queue in topology.get("queues", {}).items()}


def machine() -> dict[str, Any]:
    """Describe this machine: cores it may use, memory, system."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def versions(**others: str | None) -> dict[str, str]:
    """Return the versions that matter: Python, the packages that carry the load, `others` (rabbitmq=, helm=)."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found | {name: value for name, value in others.items() if value}


def commit(directory: Path) -> str | None:
    """Return the checkout's short commit, with `+changes` when files differ from it; None outside a checkout."""
    head = _git(directory, "rev-parse", "--short=12", "HEAD")
    if not head:
        return None
    return head + "+changes" if _git(directory, "status", "--porcelain", "--untracked-files=no") else head


def setup(
    *,
    manifests: Sequence[Mapping[str, Any]],
    topology: Mapping[str, Any],
    values_files: Sequence[str],
    chart_version: str,
    checkout: Path,
    **other_versions: str | None,
) -> dict[str, Any]:
    """Return a result's `setup`: everything a reader needs to judge and repeat the figures."""
    return {
        "values_files": list(values_files),
        "chart_version": chart_version,
        "commit": commit(checkout),
        "machine": machine(),
        "versions": versions(**other_versions),
        "classes": classes_of(manifests, topology),
        "queues": queues_of(topology),
    }


def _together(containers: Sequence[Mapping[str, Any]], kind: str, resource: str) -> float | None:
    stated = [(container.get("resources") or {}).get(kind, {}).get(resource) for container in containers]
    if any(amount is None for amount in stated):
        return None
    return sum(parse_milli(amount) for amount in stated) / 1000


def _git(directory: Path, *arguments: str) -> str:
    command = ["git", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
