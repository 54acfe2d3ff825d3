"""The alerts that fire during a run: by a Prometheus beside it, or by one that watches the place anyway."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.monitoring import fired, prometheus, rules
from harness.monitoring.configuration import Target
from harness.monitoring.local_series import NAMESPACE
from harness.monitoring.prometheus import Client
from harness.spike.prepared import Prepared
from harness.spike.site import Ground

DIRECTORY = "prometheus"  # of a run: its data stay, so that dashboards can be looked at afterwards
RULES = rules.FILE_NAME


@dataclass(frozen=True)
class Watching:
    """A Prometheus that watches a run since `began_at`, seconds since the epoch."""

    client: Client
    release: str
    began_at: float

    def fired(self, started_at: float) -> list[dict[str, Any]]:
        """Return the release's alerts until now, as result.json has them. Raises HarnessError.

        `started_at` is the start of the load, seconds since the epoch.
        """
        end = time.time()
        step = fired.step_seconds(end - self.began_at)
        curves = self.client.query_range(fired.FIRING, start=self.began_at, end=end, step_seconds=step)
        own = [curve for curve in curves if curve.labels.get("release", self.release) == self.release]
        found = fired.intervals(own, step_seconds=step, end=end, started_at=started_at)
        return [one.as_dict() for one in found]


@contextmanager
def watching(prepared: Prepared, ground: Ground, directory: Path) -> Iterator[Watching | None]:
    """Yield what watches the run, as its request says; None where it asks for nothing.

    Raises InputError where there is nothing to scrape from here, and as `prometheus.run`.
    """
    request = prepared.request
    if request.prometheus is not None:
        with Client(request.prometheus) as client:
            client.query("vector(1)")  # whether it answers is better known before the load than after it
            yield Watching(client, request.release, time.time())
    elif request.monitor:
        place, targets = directory / DIRECTORY, _targets(ground)
        written = rules.write(place / RULES, prepared.values, release=request.release, namespace=NAMESPACE)
        with prometheus.run(place, targets, rule_files=[written]) as server:
            yield Watching(server.client, request.release, time.time())
    else:
        yield None


def _targets(ground: Ground) -> list[Target]:
    if not ground.targets:
        raise InputError("--monitor: this machine cannot scrape a run there; name the place's own by --prometheus URL")
    return list(ground.targets)
