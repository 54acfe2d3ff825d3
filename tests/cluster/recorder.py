"""Looks at autoscalers through the API once a second, in the form harness/autoscaling replays."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.cluster.api import Api
from harness.errors import HarnessError
from harness.hpa.recorder import Recorder

PERIOD_SECONDS = 1.0
STOP_SECONDS = 30.0


@dataclass
class Watch:
    """Observations of one HorizontalPodAutoscaler and its Deployment, oldest first."""

    api: Api
    namespace: str
    hpa: str
    deployment: str
    class_name: str
    seen: list[dict[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _recorder: Recorder | None = None

    def look(self) -> None:
        """Add what is to be seen now; an API that does not answer is noted."""
        try:
            if self._recorder is None:
                self._recorder = Recorder(self.api, namespace=self.namespace, name=self.hpa, clock=time.time)
            self.seen.append(self._recorder.look())
        except (HarnessError, LookupError, ValueError) as error:
            self.errors.append(f"{type(error).__name__} {error}")

    def replicas(self) -> list[int]:
        """Return the numbers of replicas that were wanted, in order, each once in a row."""
        counts = [one["replicas"]["spec"] for one in list(self.seen)]
        return [count for i, count in enumerate(counts) if i == 0 or counts[i - 1] != count]

    def status_writes(self) -> int:
        """Return how often the controller was seen to have written the autoscaler's status."""
        pairs = itertools.pairwise(list(self.seen))
        return sum(1 for before, after in pairs if before["status"] != after["status"])

    def manifest(self) -> dict[str, Any]:
        """Return the autoscaler."""
        return self.api.get("autoscaling/v2", "horizontalpodautoscalers", self.namespace, self.hpa)


@contextlib.contextmanager
def recording(watches: Sequence[Watch]) -> Iterator[None]:
    """Look once a second for the block's time."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(PERIOD_SECONDS - time.time() % PERIOD_SECONDS):
            for one in watches:
                one.look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(STOP_SECONDS)
