"""Looking at a run while it runs: queues, replicas, resources, counts."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from examx import database, effects
from harness.broker.management import Management
from harness.broker.stats import QueueDepth
from harness.errors import HarnessError
from harness.runtime.base import PodState, Runtime
from harness.spike import facts
from harness.spike.journals import PUBLISHER_JOURNALS
from harness.spike.load import ENDED_BY_ITSELF
from harness.spike.prepared import Prepared
from harness.spike.progress import Progress
from harness.spike.site import Generator, Ground

LOOP_SECONDS = 0.1
SAMPLE_SECONDS = 1.0
# Between two queues of a chain a task is in none for a moment.
QUIET_SAMPLES = 2


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
        for path in sorted(self._journals.glob(PUBLISHER_JOURNALS)):
            self._read(path)
        with contextlib.suppress(database.AwayError):  # counted when it is back
            self._count_markers()
        events = self._events
        return {
            "offered": events["offered"],
            "accepted": events["accepted"],
            "refusals": events["refused"],
            "completed": self._done,
        }

    def _count_markers(self) -> None:
        while markers := effects.markers_after(self._marker, database_url=self._database_url):
            self._done += len(markers)
            self._marker = markers[-1].seq

    def _read(self, path: Path) -> None:
        with path.open("rb") as stream:
            stream.seek(self._offsets[path])
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                self._offsets[path] += len(line)
                self._events[json.loads(line)["event"]] += 1


class Watch:
    """Keeps the runtime going and samples it once a second until the load is over and nothing is left."""

    def __init__(
        self,
        prepared: Prepared,
        ground: Ground,
        *,
        management: Management,
        load_starts_at: float | None,
        progress: Progress,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limit_seconds = prepared.scenario.limit_seconds
        self._load_starts_at = load_starts_at or 0.0
        self._work_queues = frozenset(prepared.topology["queues"])
        classes = facts.classes_of(prepared.manifests, prepared.topology)
        self._class_of = {description["deployment"]: name for name, description in classes.items()}
        self._management = management
        self._counts = LiveCounts(ground.journals, database_url=ground.services.database_url)
        self._journals = ground.journals
        self._refresh = ground.refresh
        self._machine_cores = ground.machine_cores
        self._silence_seconds = ground.silence_seconds
        self._progress = progress
        self._clock = clock
        self._quiet = 0
        self._answered_at: float | None = None
        self.runtime = ground.runtime
        self.samples: list[dict[str, Any]] = []  # t is seconds since the epoch until `relative`
        self.timed_out = False

    def until_done(self, generator: Generator) -> None:
        """Return when the load generator has ended and the queues are empty, or at the scenario's limit.

        The limit counts from the load's first moment. Raises HarnessError when the load generator fails.
        """
        started = max(self._clock(), self._load_starts_at)
        while True:
            self.runtime.tick()
            now = self._clock()
            if not self.samples or now - self.samples[-1]["t"] >= SAMPLE_SECONDS:
                self._sample(now)
            code = generator.poll()
            if code not in (None, *ENDED_BY_ITSELF) or (code is not None and not self._offers_are_told()):
                raise HarnessError(f"the load generator ended with code {code}: see locust.log")
            if code is not None and self._quiet >= QUIET_SAMPLES:
                break
            if now - started > self._limit_seconds:
                self.timed_out = True
                break
            time.sleep(LOOP_SECONDS)

    def relative(self, started_at: float) -> list[dict[str, Any]]:
        """Return the samples with `t` in seconds from the start of the load."""
        return [{**one, "t": round(one["t"] - started_at, 3)} for one in self.samples]

    def _offers_are_told(self) -> bool:
        """Whether there is a journal: Locust that could not even read its file ends with 1 as well."""
        return any(self._journals.glob(PUBLISHER_JOURNALS))

    def _sample(self, now: float) -> None:
        queues = self._depths(now)
        if queues is None:
            return
        workers = sample(seconds=now, runtime=self.runtime, queues=queues, class_of=self._class_of)
        one = {**workers, "machine_cores": self._machine_cores()}
        self.samples.append(one)
        self._refresh()
        self._quiet = self._quiet + 1 if not any(depth.total for depth in queues.values()) else 0
        self._progress.sample({**one, "t": max(now - self.samples[0]["t"], 0)}, self._counts.refresh())

    def _depths(self, now: float) -> dict[str, QueueDepth] | None:
        """Return what the work queues hold, None when the broker leaves the question unanswered for now."""
        try:
            depths = self._management.depths()
        except HarnessError:
            if self._answered_at is None or now - self._answered_at > self._silence_seconds:
                raise
            return None
        self._answered_at = now
        return {name: depth for name, depth in depths.items() if name in self._work_queues}


def sample(
    *, seconds: float, runtime: Runtime, queues: Mapping[str, QueueDepth], class_of: Mapping[str, str]
) -> dict[str, Any]:
    """Return one timeline sample of the workers. `class_of` maps a Deployment to its worker class."""
    pods = [pod for pod in runtime.pods() if pod.deployment in class_of]
    return {
        "t": round(seconds, 3),
        "queues": {name: {"ready": one.ready, "unacked": one.unacked} for name, one in queues.items()},
        "replicas": {
            scale.deployment: {"desired": scale.desired, "running": scale.running, "ready": scale.ready}
            for scale in runtime.scales()
            if scale.deployment in class_of
        },
        "cpu_cores": _by_class(pods, class_of, lambda pod: pod.cpu_cores),
        "memory_bytes": _by_class(pods, class_of, lambda pod: pod.memory_bytes),
        "cpu_windows": _windows(pods, class_of),
    }


def _windows(pods: Iterable[PodState], class_of: Mapping[str, str]) -> dict[str, list[tuple[str, float, float, float]]]:
    found: dict[str, list[tuple[str, float, float, float]]] = {}
    for pod in pods:
        if pod.cpu is not None:
            window = pod.name, pod.cpu.began_at, pod.cpu.ended_at, pod.cpu.cores
            found.setdefault(class_of[pod.deployment], []).append(window)
    return found


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
