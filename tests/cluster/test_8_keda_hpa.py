"""What KEDA makes of the chart's ScaledObjects on the cluster, beside what the harness makes of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from harness.autoscaling import HpaSpec, ScaledObject, activate, hpa_from_scaled_object
from tests.cluster.results import Note
from tests.cluster.space import CLASSES, RELEASE, Space, eventually
from tests.conformance.keda.compare import hpa_differences

pytestmark = pytest.mark.full

SLEEPER = "mixed"
TASK, TASK_SECONDS = "check_db_connections", 8.0
POLLING_SECONDS, COOLDOWN_SECONDS = 5, 30
# RabbitMQ counts a queue every 5 s; the API servers and this test need their time too.
SLACK_SECONDS = 15.0
# Every kind of trigger: queues by depth and by latency, CPU, memory, a timetable (a window that this test never meets).
# Mixed goes to sleep: on its depth alone, since the other modes wake a class that takes nothing from its queue.
VALUES = {
    "keda": {"pollingIntervalSeconds": POLLING_SECONDS, "cooldownPeriodSeconds": COOLDOWN_SECONDS},
    "workers": {
        "io": {
            "fallback": {"replicas": 2},
            "schedule": [
                {"name": "once", "timezone": "Europe/Berlin", "start": "0 3 29 2 *", "end": "5 3 29 2 *", "replicas": 3}
            ],
        },
        SLEEPER: {"replicas": {"min": 0}, "targets": {"latency": None, "cpuUtilization": None}},
    },
}


@pytest.mark.timeout(420)
def test_keda_makes_the_harness_s_autoscalers_and_wakes_and_puts_to_sleep_as_it_says(
    space: Space, record_property: Note
) -> None:
    space.fixtures({"wait": {"latency_seconds": TASK_SECONDS}})
    space.install("prod,keda,kind", values=VALUES)
    for name in CLASSES:
        _require_same_autoscaler(space, f"{RELEASE}-{name}-worker")
    _require_woken_and_put_to_sleep(space, record_property)


def _require_same_autoscaler(space: Space, name: str) -> None:
    made = hpa_from_scaled_object(_scaled_object(space, name))
    hpa = eventually(lambda: _hpas(space).get(made["metadata"]["name"]), seconds=60, what=f"the autoscaler of {name}")
    owner = [(one["kind"], one["name"], one.get("controller")) for one in hpa["metadata"]["ownerReferences"]]
    assert owner == [("ScaledObject", name, True)]
    assert hpa_differences(_without_behavior(hpa), _without_behavior(made)) == []
    # The API server fills in what a behavior leaves open, and so does reading it: the controller's view is compared.
    assert HpaSpec.from_manifest(hpa) == HpaSpec.from_manifest(made)


def _without_behavior(hpa: Mapping[str, Any]) -> dict[str, Any]:
    return {**hpa, "spec": {key: value for key, value in hpa["spec"].items() if key != "behavior"}}


def _require_woken_and_put_to_sleep(space: Space, record_property: Note) -> None:
    name = f"{RELEASE}-{SLEEPER}-worker"
    eventually(lambda: _replicas(space, name) == 0, seconds=90, what=f"{name} asleep: it has nothing to do")
    published = time.time()
    ids = space.publish({TASK: 1})
    replicas, woken = _changed(space, name, 0, seconds=POLLING_SECONDS + SLACK_SECONDS)
    assert replicas == _foretold(space, name, replicas=0, active=True, now=woken)
    space.require_done(ids, seconds=TASK_SECONDS + 60, what="the task that woke its class")

    left, slept = _changed(space, name, replicas, seconds=COOLDOWN_SECONDS + 60)
    last_active = _last_active(_scaled_object(space, name))
    assert last_active is not None
    due = last_active + COOLDOWN_SECONDS
    assert due <= slept <= due + POLLING_SECONDS + SLACK_SECONDS
    assert left == 0 == _foretold(space, name, replicas=replicas, active=False, now=slept)
    assert _foretold(space, name, replicas=replicas, active=False, now=due) is None
    record_property("woken after seconds", round(woken - published))
    record_property("put to sleep seconds after the last work", round(slept - due + COOLDOWN_SECONDS))


def _foretold(space: Space, name: str, *, replicas: int, active: bool, now: float) -> int | None:
    """Return what the harness says KEDA sets at a polling, None where it leaves the replicas alone."""
    document = _scaled_object(space, name)
    return activate(
        ScaledObject.from_manifest(document),
        current_replicas=replicas,
        active=active,
        error=False,
        last_active_seconds=_last_active(document),
        created_seconds=_seconds(document["metadata"]["creationTimestamp"]),
        now_seconds=now,
    ).replicas


def _changed(space: Space, name: str, replicas: int, *, seconds: float) -> tuple[int, float]:
    """Return the first other number of replicas, and when it was seen."""
    eventually(
        lambda: _replicas(space, name) != replicas, seconds=seconds, what=f"{name} with other than {replicas} replicas"
    )
    return _replicas(space, name), time.time()


def _replicas(space: Space, name: str) -> int:
    return int(space.get("deployment", name)["spec"]["replicas"])


def _scaled_object(space: Space, name: str) -> dict[str, Any]:
    return space.get("scaledobject", name)


def _last_active(scaled_object: Mapping[str, Any]) -> float | None:
    """Return when KEDA says a trigger was active last, in whole seconds; it says so after it has set the replicas."""
    said = scaled_object["status"].get("lastActiveTime")
    return None if said is None else _seconds(said)


def _hpas(space: Space) -> dict[str, Any]:
    return {one["metadata"]["name"]: one for one in space.get("hpa")["items"]}


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
