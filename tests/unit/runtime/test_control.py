"""The clocks of the local runtime's control plane, advanced by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from harness.autoscaling import ControllerConfig, PodSample
from harness.broker.stats import QueueStats
from harness.runtime.local.control import ControlLoop
from harness.runtime.local.deployment import DeploymentController
from harness.runtime.local.scaling import Autoscaler
from tests.local.runtime_manifests import scaled_object

START = 1_000.0
SYNC_SECONDS = 15.0


class ReadyPod:
    """A pod without a process."""

    deleting, ready = False, True

    def __init__(self, now: float) -> None:
        self._created_at = now

    def pids(self) -> list[int]:
        return []

    def measure(self, *_: Any, **__: Any) -> None:
        pass

    def sample(self) -> PodSample:
        return PodSample(name="pod", start_time_seconds=self._created_at, last_transition_seconds=self._created_at)


@pytest.mark.parametrize("late", [(0.09, 0.0, 0.0, 0.0, 0.01), (0.0, 0.0, 0.0, 0.0, 0.09)])
def test_a_policy_allows_more_a_period_after_however_late_the_loop_looked(
    late: tuple[float, ...], tmp_path: Path
) -> None:
    manifest = scaled_object(maximum=9)  # +3 pods in 60 s
    deployment = DeploymentController("web", desired=1, new_pod=lambda now: cast(Any, ReadyPod(now)))
    loop = ControlLoop(
        {"web": deployment},
        [Autoscaler(manifest, controller=ControllerConfig(), now=START)],
        queue_source=lambda: {"io": QueueStats("io", 100_000, 0, 1, 0.0, 0.0, 0.0)},
        record=lambda *_: None,
        journal_file=tmp_path / "syncs.jsonl",
        sync_seconds=SYNC_SECONDS,
        metrics_seconds=1e6,
        now=START,
    )
    for sync, seconds in enumerate(late):
        loop.tick(START + sync * SYNC_SECONDS + seconds)
    assert [event.after for event in loop.scale_events] == [4, 7]
    assert loop.scale_events[-1].at == pytest.approx(START + 60 + late[-1])
