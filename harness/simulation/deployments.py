"""Each class's Deployment: which pods there are, which are made, which go."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.autoscaling import Candidate, PodSample, choose_victims
from harness.simulation.engine import INITIAL_AGE_SECONDS, Engine
from harness.simulation.kernel.state import DRAINING, GONE, PENDING, RUNNING, STARTING, Records
from harness.simulation.model import Plant, WorkerClass
from harness.simulation.nodes import Rooms


class Deployment:
    """One class's pods. `wanted` is the replicas its scale says."""

    def __init__(
        self, index: int, worker_class: WorkerClass, engine: Engine, rooms: Rooms, rng: np.random.Generator
    ) -> None:
        self.worker_class = worker_class
        self.wanted = worker_class.replicas
        self._index = index
        self._engine = engine
        self._rooms = rooms
        self._rng = rng
        self._uids: dict[int, str] = {}
        for _ in range(self.wanted):
            row = self._new(created=-INITIAL_AGE_SECONDS)
            if self._rooms.place(row, worker_class, now=0.0, image_seconds=0.0) is not None:
                engine.settled_pod(row)

    @property
    def pending(self) -> list[int]:
        """The pods that wait for room."""
        return [row for row in self._uids if self._pod(row)["phase"] == PENDING]

    def scale(self, replicas: int) -> None:
        """Have so many replicas from now on."""
        self.wanted = replicas
        self._engine.flow.classes[self._index]["desired"] = replicas
        active = [row for row in self._uids if self._pod(row)["phase"] in (PENDING, STARTING, RUNNING)]
        for _ in range(replicas - len(active)):
            self._new(created=self._engine.now)
        for row in self._victims(active, len(active) - replicas):
            self._engine.stop(row)
        self.clear()

    def clear(self) -> None:
        """Forget pods that are gone; it must be done before anybody makes a new one, which may take their row."""
        for row in [row for row in self._uids if self._pod(row)["phase"] == GONE]:
            del self._uids[row]
            self._rooms.free(row)

    def place(self) -> None:
        """Start the pods that find room now."""
        each = self.worker_class
        for row in self.pending:
            image = self._rooms.place(row, each, now=self._engine.now, image_seconds=each.image_seconds)
            if image is not None:
                computing = each.start_cpu_seconds / min(each.cpu_cores, 1.0) + self._engine.flow.run[0]["pod_cpu"]
                self._engine.begin(row, wait=image + max(each.start_seconds - computing, 0.0))

    @property
    def ready(self) -> int:
        """How many pods that are to stay are ready."""
        pods = [self._pod(row) for row in self._uids]
        return sum(bool(pod["ready"]) and pod["phase"] != DRAINING for pod in pods)

    def samples(self, *, epoch_seconds: float) -> list[PodSample]:
        """Return the pods as the autoscaler sees them, on its axis of time."""
        return [self._sample(row, epoch_seconds) for row in self._uids]

    def _pod(self, row: int) -> Records:
        return self._engine.flow.pods[row]

    def _new(self, *, created: float) -> int:
        row = self._engine.new_pod(self._index, created=created)
        self._uids[row] = f"{int(self._rng.integers(2**63)):016x}"
        return row

    def _victims(self, active: Sequence[int], count: int) -> list[int]:
        if count <= 0:
            return []
        candidates = [self._candidate(row) for row in active]
        return [int(name) for name in choose_victims(candidates, count, now=self._engine.now)]

    def _candidate(self, row: int) -> Candidate:
        pod = self._pod(row)
        ready = bool(pod["ready"])
        return Candidate(
            name=str(row),
            uid=self._uids[row],
            ready=ready,
            ready_at=float(pod["changed"]) if ready else None,
            restarts=0,
            created_at=float(pod["created"]),
        )

    def _sample(self, row: int, epoch: float) -> PodSample:
        pod, each = self._pod(row), self.worker_class
        requests = {"cpu": each.cpu_request_milli, "memory": each.memory_request_milli}
        measured = not math.isnan(pod["metric_at"])
        used = {"cpu": round(1000 * pod["metric_cores"]), "memory": 1000 * int(pod["metric_memory"])}
        return PodSample(
            name=f"{each.deployment}-{row}",
            phase="Pending" if pod["phase"] == PENDING else "Running",
            ready=bool(pod["ready"]),
            start_time_seconds=epoch + float(pod["created"]),
            last_transition_seconds=epoch + float(pod["changed"]),
            requests_milli={name: amount for name, amount in requests.items() if amount is not None},
            usage_milli=used if measured else {},
            metric_timestamp_seconds=epoch + float(pod["metric_at"]) if measured else None,
            metric_window_seconds=float(pod["metric_window"]),
            deleting=bool(pod["phase"] == DRAINING),
        )


def deployments(plant: Plant, engine: Engine, rooms: Rooms, rng: np.random.Generator) -> list[Deployment]:
    """Return the Deployments, in the order of the classes, with the pods they have at the start."""
    return [Deployment(index, each, engine, rooms, rng) for index, each in enumerate(plant.classes)]
