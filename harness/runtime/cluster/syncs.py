"""When a cluster's autoscalers decide: a watch sees it to hundredths of a second, where timestamps tell seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from harness.autoscaling import ControllerConfig
from harness.chart.manifests import name_of
from harness.cluster.api import Api
from harness.errors import HarnessError

STRETCH_SECONDS = 10.0
"""How long one watch lasts: a thread that is told to end does so at the next event, or after this."""


class Decisions:
    """When each autoscaler was last seen to decide. Pure: it is told what the API server tells a watch."""

    def __init__(self) -> None:
        self._status: dict[str, Any] = {}
        self._decided_at: dict[str, float] = {}

    def told(self, change: str, hpa: dict[str, Any], *, at: float) -> None:
        """Take one event of a watch: a status that is modified is a decision; one that is only listed says no time."""
        name, status = name_of(hpa), hpa.get("status") or {}
        if change == "DELETED":
            self._status.pop(name, None)
            self._decided_at.pop(name, None)
            return
        if change == "MODIFIED" and status != self._status.get(name, status):
            self._decided_at[name] = at
        self._status[name] = status

    def moment(self) -> float | None:
        """Return a moment at which every autoscaler has decided, None until each was seen to.

        A decision that changes nothing is not told: an autoscaler is taken to decide once a period.
        """
        if not self._status or self._decided_at.keys() != self._status.keys():
            return None
        newest, period = max(self._decided_at.values()), ControllerConfig().sync_seconds
        return max(at + round((newest - at) / period) * period for at in self._decided_at.values())


class Syncs:
    """Watches a namespace's autoscalers from `start` to `stop`, in a thread of its own."""

    def __init__(self, api: Callable[[], Api], namespace: str, *, clock: Callable[[], float] = time.time) -> None:
        """`api` makes connections of its own for the thread."""
        self._make_api = api
        self._namespace = namespace
        self._clock = clock
        self._decisions = Decisions()
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="syncs", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Have the thread end, which it does by itself. Safe to call twice and before `start`."""
        self._done.set()

    def moment(self) -> float | None:
        """Return a moment at which every autoscaler has decided, in seconds since the epoch; None until it was seen."""
        with self._lock:
            return self._decisions.moment()

    def _watch(self) -> None:
        api = self._make_api()
        try:
            while not self._done.is_set():
                try:
                    self._take(api)
                except HarnessError:  # a server that is away is asked again; without an answer there is no moment
                    self._done.wait(1.0)
        finally:
            api.close()

    def _take(self, api: Api) -> None:
        for change, hpa in api.watch("autoscaling/v2", "horizontalpodautoscalers", self._namespace, STRETCH_SECONDS):
            with self._lock:
                self._decisions.told(change, hpa, at=self._clock())
            if self._done.is_set():
                return
