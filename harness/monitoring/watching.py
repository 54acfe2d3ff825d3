"""Looking at a release again and again: at its objects and its broker, and at Prometheus where there is one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from harness.errors import HarnessError
from harness.monitoring import live
from harness.monitoring.live import Look
from harness.monitoring.prometheus import Client
from harness.ops.status import Status
from harness.urls import redact

LATENCY = "celery_workers:latency_seconds:p95_5m"
MEMORY_SECONDS = 60.0  # how far back it is seen what grows
PATIENCE_SECONDS = 60.0  # a broker or an API server that restarts is back by then
OWN = "this view: there is no Prometheus (make monitor, or --prometheus)"


class Seen(Protocol):
    """A release that can be looked at."""

    release: str

    def look(self) -> Status:
        """Return its state at this moment. Raises HarnessError where its objects cannot be read."""


class Watcher:
    """Looks at a release, each look a whole one."""

    def __init__(
        self, target: Seen, prometheus: Client | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._target = target
        self._prometheus = prometheus
        self._clock = clock
        self._looks: deque[Look] = deque()

    def look(self) -> Look:
        """Return the release at this moment.

        What does not answer is among the problems. Raises HarnessError when the release itself cannot be looked at for
        longer than a restart takes; until then the newest look stands, with the problem on it.
        """
        try:
            status = self._target.look()
        except HarnessError as error:
            return self._newest_with(error)
        look = self._from_prometheus(status) if self._prometheus is not None else self._by_itself(status)
        self._remember(look)
        return look

    def _newest_with(self, error: HarnessError) -> Look:
        if not self._looks or self._clock() - self._looks[-1].status.at > PATIENCE_SECONDS:
            raise error
        newest = self._looks[-1]
        return replace(newest, status=replace(newest.status, problems=(*newest.status.problems, str(error))))

    def _by_itself(self, status: Status) -> Look:
        before = self._looks[0].status if self._looks else None
        return Look(status, OWN, live.own_alerts(status, before))

    def _from_prometheus(self, status: Status) -> Look:
        assert self._prometheus is not None
        try:
            alerts = live.alert_lines(self._prometheus.alerts(), release=self._target.release)
            found = self._prometheus.query(f'max by (queue) ({LATENCY}{{release="{self._target.release}"}})')
        except HarnessError as error:
            return self._by_itself(replace(status, problems=(*status.problems, str(error))))
        within = {one.labels.get("queue", ""): one.value for one in found if one.value >= 0}  # no NaN
        return Look(status, f"Prometheus at {redact(self._prometheus.url)}", alerts, within)

    def _remember(self, look: Look) -> None:
        self._looks.append(look)
        while look.status.at - self._looks[0].status.at > MEMORY_SECONDS:
            self._looks.popleft()
