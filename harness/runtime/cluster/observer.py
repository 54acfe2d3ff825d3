"""Looks at one release once a second, in a thread of its own, and keeps what it saw."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.chart.manifests import CLASS_LABEL, get, name_of
from harness.cluster.api import Api
from harness.errors import HarnessError
from harness.runtime.base import LOOK_SECONDS, PodState, RuntimeEvent, ScaleEvent, ScaleState
from harness.runtime.cluster import documents

SILENCE_SECONDS = 60.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Sight:
    """A release at one moment."""

    at: float
    pods: Mapping[str, PodState] = field(default_factory=dict)
    scales: Mapping[str, ScaleState] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    first_sync_at: float | None = None


class Observer:
    """Polls the API server from `start` to `stop`; everything else may be called from any thread.

    A question that is not answered is asked again a second later; after a minute without any answer `sight` raises.
    Changes of replicas with the autoscalers' words are also written to `log`, one JSON object a line.
    """

    def __init__(
        self, api: Api, *, namespace: str, release: str, log: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._selector = f"app.kubernetes.io/instance={release}"
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="observer", daemon=True)
        self._sight: Sight | None = None
        self._problem = "nothing was seen yet"
        self._answered_at = clock()
        self._scale_events: list[ScaleEvent] = []
        self._events: list[RuntimeEvent] = []

    def start(self) -> None:
        """Begin to look."""
        self._answered_at = self._clock()
        self._thread.start()

    def stop(self) -> None:
        """Stop looking. Safe to call twice and before `start`."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def sight(self) -> Sight:
        """Return the newest sight; an empty one before the first. Raises HarnessError after a minute of silence."""
        with self._lock:
            if self._clock() - self._answered_at > SILENCE_SECONDS:
                raise HarnessError(f"the cluster was not seen for {SILENCE_SECONDS:.0f} s: {self._problem}")
            return self._sight or Sight(self._clock())

    def scale_events(self) -> list[ScaleEvent]:
        """Return the changes of desired replicas so far."""
        with self._lock:
            return list(self._scale_events)

    def events(self) -> list[RuntimeEvent]:
        """Return what became of pods so far."""
        with self._lock:
            return list(self._events)

    def _watch(self) -> None:
        while not self._done.wait(LOOK_SECONDS - time.time() % LOOK_SECONDS):
            try:
                self._take(self._look())
            except (HarnessError, LookupError, ValueError, TypeError) as error:
                self._problem = str(error)

    def _look(self) -> Sight:
        pods = self._objects("v1", "pods")
        deployments = self._objects("apps/v1", "deployments")
        hpas = {name: one for one in self._hpas() if (name := get(one, "spec", "scaleTargetRef", "name"))}
        usage: dict[str, Any] = {}
        with contextlib.suppress(HarnessError):  # metrics may be away; the run goes on without them
            usage = {name_of(one): one for one in self._objects("metrics.k8s.io/v1beta1", "pods")}
        owners = {get(one, "spec", "selector", "matchLabels", CLASS_LABEL): name_of(one) for one in deployments}
        states = {
            name_of(pod): documents.pod_state(pod, usage.get(name_of(pod)), deployment=owners[label])
            for pod in pods
            if (label := get(pod, "metadata", "labels", CLASS_LABEL)) in owners and label
        }
        scales = {name_of(one): documents.scale_state(one, hpas.get(name_of(one))) for one in deployments}
        reasons = {name: documents.reason_of(one) for name, one in hpas.items()}
        return Sight(self._clock(), states, scales, reasons, documents.first_sync_at(hpas.values()))

    def _hpas(self) -> list[dict[str, Any]]:
        # KEDA gives its autoscalers labels of its own, so they are told by what they scale.
        return self._api.objects("autoscaling/v2", "horizontalpodautoscalers", self._namespace)

    def _objects(self, group_version: str, plural: str) -> list[dict[str, Any]]:
        return self._api.objects(group_version, plural, self._namespace, self._selector)

    def _take(self, seen: Sight) -> None:
        with self._lock:
            before = self._sight or Sight(seen.at)
            changes = documents.scale_events(before.scales, seen.scales.values(), at=seen.at, reasons=seen.reasons)
            self._events += documents.pod_events(before.pods, seen.pods, at=seen.at)
            self._scale_events += changes
            self._sight, self._answered_at = seen, self._clock()
        if changes:
            with self._log.open("a") as stream:
                for one in changes:
                    entry = {"t": one.at, "deployment": one.deployment, "before": one.before, "after": one.after}
                    stream.write(json.dumps({**entry, "reason": one.reason}) + "\n")
