"""Recorded traces of the real controller: one hour a line, packed into rows to stay small.

A line is {"id", "hpa", "controller", "requests": [...], "rows": [[t, spec, status, pods, external, unavailable], ...],
"decisions": [...]}; a pod is [name, phase, ready, startTime, lastTransition, index into requests, usage, custom,
timestamp, window, deleting]. Written by `python -m tests.conformance`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent / "traces"

Document = dict[str, Any]


def pack(hour: Document, decisions: list[int]) -> Document:
    """Return a trace from an hour and what the controller decided on it."""
    requests: list[dict[str, str]] = []
    rows = [_pack_observation(seen, requests) for seen in hour["observations"]]
    kept = {key: hour[key] for key in ("id", "hpa", "controller")}
    return {**kept, "requests": requests, "rows": rows, "decisions": decisions}


def unpack(trace: Document) -> Document:
    """Return the hour of a trace, with "decisions"."""
    observations = [_unpack_observation(row, trace["requests"]) for row in trace["rows"]]
    kept = {key: trace[key] for key in ("id", "hpa", "controller", "decisions")}
    return {**kept, "observations": observations}


def read_all() -> Iterator[Document]:
    """Yield every recorded hour."""
    for path in sorted(DIRECTORY.glob("*.jsonl")):
        yield from (unpack(json.loads(line)) for line in path.read_text().splitlines())


def _pack_observation(seen: Document, requests: list[dict[str, str]]) -> list[Any]:
    pods = [_pack_pod(pod, requests) for pod in seen.get("pods", [])]
    replicas = seen["replicas"]
    row = [seen["t"], replicas["spec"], replicas["status"], pods, seen["external"], seen.get("unavailable", [])]
    while len(row) > 3 and not row[-1]:
        row.pop()
    return row


def _pack_pod(pod: Document, requests: list[dict[str, str]]) -> list[Any]:
    if pod["requests"] not in requests:
        requests.append(pod["requests"])
    keys = ("name", "phase", "ready", "startTime", "lastTransition")
    last = ("usage", "custom", "timestamp", "window")
    head, tail = [pod.get(key) for key in keys], [pod.get(key) for key in last]
    return [*head, requests.index(pod["requests"]), *tail, int(pod.get("deleting", False))]


def _unpack_observation(row: list[Any], requests: list[dict[str, str]]) -> Document:
    t, spec, status, pods, external, unavailable = [*row, *([[], {}, []][len(row) - 3 :])]
    return {
        "t": t,
        "replicas": {"spec": spec, "status": status},
        "pods": [_unpack_pod(pod, requests) for pod in pods],
        "external": external,
        "unavailable": unavailable,
    }


def _unpack_pod(row: list[Any], requests: list[dict[str, str]]) -> Document:
    name, phase, ready, start, transition, index, usage, custom, timestamp, window, deleting = row
    return {
        "name": name,
        "phase": phase,
        "ready": ready,
        "startTime": start,
        "lastTransition": transition,
        "requests": requests[index],
        "usage": usage,
        "custom": custom,
        "timestamp": timestamp,
        "window": window,
        "deleting": bool(deleting),
    }
