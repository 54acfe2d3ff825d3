"""Looking at a run while it runs: queues, replicas, resources, counts."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from examx import effects
from harness.broker.stats import QueueDepth
from harness.runtime.base import PodState, Runtime


class LiveCounts:
    """Running counts from the publishers' journals and the application's markers, read as they grow."""

    def __init__(self, journals: Path, *, database_url: str) -> None:
        self._journals = journals
        self._database_url = database_url
        self._offsets: dict[Path, int] = defaultdict(int)
        self._events: Counter[str] = Counter()
        self._marker = 0
        self._done = 0

    def refresh(self) -> dict[str, int]:
        """Read what is new and return offered, accepted, refusals and completed."""
        for path in sorted(self._journals.glob("publisher-*.jsonl")):
            self._read(path)
        markers = effects.markers_after(self._marker, database_url=self._database_url)
        while markers:
            self._done += len(markers)
            self._marker = markers[-1].seq
            markers = effects.markers_after(self._marker, database_url=self._database_url)
        events = self._events
        return {
            "offered": events["offered"],
            "accepted": events["accepted"],
            "refusals": events["refused"],
            "completed": self._done,
        }

    def _read(self, path: Path) -> None:
        with path.open("rb") as stream:
            stream.seek(self._offsets[path])
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                self._offsets[path] += len(line)
                self._events[json.loads(line)["event"]] += 1


def sample(
    *, seconds: float, runtime: Runtime, queues: Mapping[str, QueueDepth], class_of: Mapping[str, str]
) -> dict[str, Any]:
    """Return one timeline sample. `class_of` maps a Deployment to its worker class."""
    pods = [pod for pod in runtime.pods() if pod.deployment in class_of]
    return {
        "t": round(seconds, 3),
        "queues": {name: {"ready": one.ready, "unacked": one.unacked} for name, one in queues.items()},
        "replicas": {
            scale.deployment: {"desired": scale.desired, "running": scale.running, "ready": scale.ready}
            for scale in runtime.scales()
        },
        "cpu_cores": _by_class(pods, class_of, lambda pod: pod.cpu_cores),
        "memory_bytes": _by_class(pods, class_of, lambda pod: pod.memory_bytes),
    }


def _by_class(
    pods: Iterable[PodState], class_of: Mapping[str, str], figure: Callable[[PodState], float | None]
) -> dict[str, float | None]:
    """Add the pods' figures by class; None for a class of which no pod was measured yet."""
    measured: dict[str, list[float]] = {name: [] for name in class_of.values()}
    for pod in pods:
        value = figure(pod)
        if value is not None:
            measured[class_of[pod.deployment]].append(value)
    return {name: sum(values) if values else None for name, values in measured.items()}
