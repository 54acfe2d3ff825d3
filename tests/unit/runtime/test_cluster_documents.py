"""What the API server's documents say, in the words every runtime uses."""

from __future__ import annotations

from typing import Any

import pytest

from harness.runtime.base import CpuWindow, PodState, ScaleState
from harness.runtime.cluster import documents

STAMP, SECONDS = "2026-01-02T03:04:05Z", 1767323045.0


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "io-1", "creationTimestamp": STAMP}, "status": status}


def running(*, ready: bool = True, restarts: int = 0) -> dict[str, Any]:
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": STAMP}
    return pod(
        phase="Running",
        startTime=STAMP,
        conditions=[condition],
        containerStatuses=[{"restartCount": restarts}, {"restartCount": 1}],
    )


def test_a_running_pod_with_metrics() -> None:
    usage = {
        "timestamp": STAMP,
        "window": "12.5s",
        "containers": [
            {"usage": {"cpu": "150m", "memory": "100Mi"}},
            {"usage": {"cpu": "50000000n", "memory": "28Mi"}},
        ],
    }
    state = documents.pod_state(running(restarts=2), usage, deployment="io")
    assert state == PodState(
        name="io-1",
        deployment="io",
        phase="Running",
        ready=True,
        started_at=SECONDS,
        ready_at=SECONDS,
        cpu=CpuWindow(SECONDS - 12.5, SECONDS, 0.2),
        memory_bytes=128 * 2**20,
        restarts=3,
    )


def test_a_pod_nobody_has_placed_yet() -> None:
    state = documents.pod_state(pod(phase="Pending"), None, deployment="io")
    assert (state.phase, state.ready, state.started_at) == ("Pending", False, SECONDS)
    assert (state.cpu_cores, state.memory_bytes) == (None, None)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [("Running", "Running"), ("Failed", "Failed"), ("Unknown", "Pending"), (None, "Pending")],
)
def test_phases(seen: str | None, expected: str) -> None:
    assert documents.phase(pod(phase=seen)) == expected


def test_a_pod_that_is_told_to_stop_is_terminating_while_it_still_runs() -> None:
    stopping = running()
    stopping["metadata"]["deletionTimestamp"] = STAMP
    assert documents.phase(stopping) == "Terminating"


def test_replica_counts_with_and_without_an_autoscaler() -> None:
    deployment = {
        "metadata": {"name": "io"},
        "spec": {"replicas": 4},
        "status": {"replicas": 3, "readyReplicas": 2},
    }
    hpa = {"spec": {"minReplicas": 1, "maxReplicas": 5}}
    assert documents.scale_state(deployment, hpa) == ScaleState("io", 4, 3, 2, 1, 5)
    assert documents.scale_state(deployment, None) == ScaleState("io", 4, 3, 2, None, None)


def scale(desired: int) -> ScaleState:
    return ScaleState("io", desired, desired, desired, 1, 5)


def test_a_change_of_desired_replicas_is_an_event_with_the_autoscalers_words() -> None:
    (event,) = documents.scale_events({"io": scale(1)}, [scale(4)], at=7.0, reasons={"io": "deep queue"})
    assert (event.at, event.deployment, event.before, event.after, event.reason) == (7.0, "io", 1, 4, "deep queue")


def test_the_first_look_and_no_change_are_no_events() -> None:
    assert documents.scale_events({}, [scale(4)], at=7.0, reasons={}) == []
    assert documents.scale_events({"io": scale(4)}, [scale(4)], at=7.0, reasons={}) == []


def state(*, ready: bool = False, phase: str = "Running", restarts: int = 0) -> dict[str, PodState]:
    one = PodState("io-1", "io", phase, ready, 0.0, 0.0 if ready else None, None, None, restarts)
    return {"io-1": one}


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ({}, state(), ["created"]),
        (state(), state(ready=True), ["ready"]),
        (state(ready=True), state(), ["unready"]),
        (state(), state(restarts=1), ["restarted"]),
        (state(), state(phase="Terminating"), ["stopping"]),
        (state(phase="Terminating"), state(phase="Terminating"), []),
        (state(), {}, ["gone"]),
    ],
)
def test_what_became_of_a_pod(before: dict[str, PodState], after: dict[str, PodState], kinds: list[str]) -> None:
    events = documents.pod_events(before, after, at=1.0)
    assert [(event.kind, event.subject) for event in events] == [(kind, "io-1") for kind in kinds]


def test_a_reason_names_metrics_targets_and_limits() -> None:
    external = {"metric": {"name": "s0-rabbitmq-io"}}
    hpa = {
        "spec": {
            "metrics": [
                {
                    "type": "External",
                    "external": {**external, "target": {"type": "AverageValue", "averageValue": "200"}},
                },
                {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}},
            ]
        },
        "status": {
            "desiredReplicas": 4,
            "currentMetrics": [
                {"type": "External", "external": {**external, "current": {"averageValue": "5200500m"}}},
                {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 91}}},
                {"type": ""},
            ],
            "conditions": [{"type": "ScalingLimited", "status": "True", "message": "the desired rate is limited"}],
        },
    }
    assert documents.reason_of(hpa) == "s0-rabbitmq-io 5,200.5/200, cpu 91 %/50 % -> 4, the desired rate is limited"
    assert documents.reason_of({}) == ""


def test_autoscalers_have_all_decided_a_period_after_the_last_was_made() -> None:
    made = [{"metadata": {"creationTimestamp": stamp}} for stamp in (STAMP, "2026-01-02T03:04:07Z", STAMP)]
    assert documents.first_sync_at(made) == SECONDS + 2.0 + 15.0 + 1.0


def test_without_autoscalers_there_is_no_sync() -> None:
    assert documents.first_sync_at([]) is None
