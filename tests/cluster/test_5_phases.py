"""The way of docs/how-to/migrate.md, from the old workers to the new and back, while tasks are published."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster import client, topology
from tests.cluster.results import Note
from tests.cluster.space import Space, eventually

BASELINE, PHASE_1, PHASE_2 = "baseline", "baseline,phase-1", "baseline,phase-1,phase-2"
PHASE_3, PHASE_3_ON_THE_WAY = "prod,keda,kind", "prod,keda,kind,phase-3"
# Each change under load, and what follows once the queues of before are empty.
THERE = ((PHASE_1, None), (PHASE_2, None), (PHASE_3_ON_THE_WAY, PHASE_3))
BACK = ((f"{PHASE_2},phase-2-back", PHASE_2), (f"{PHASE_1},phase-1-back", PHASE_1), (BASELINE, None))
# Of every old queue, and of all three of phase 2.
LOAD = (
    "forgot_password_mail", "bulk_upload_questions_task", "save_question_index", "generate_order_copy_pdf_task",
    "run_question_generation_task", "process_paper_task", "check_db_connections",
)  # fmt: skip
PER_SECOND = 2.0
SERVICES = {name: {"latency_seconds": 1.0} for name in ("smtp", "ai", "wait", "storage")}
SMALL = {"requests": {"cpu": "60m", "memory": "192Mi"}, "limits": {"cpu": "500m", "memory": "2Gi"}}
TOPOLOGY_SECONDS = 180.0  # the kubelet brings a changed ConfigMap into a pod within two minutes
FILE = f"{client.CONFIGURATION}/topology.json"


@pytest.mark.full
@pytest.mark.timeout(2400)
def test_every_phase_there_and_back_under_load_loses_nothing(space: Space, record_property: Note) -> None:
    space.fixtures(SERVICES)
    space.install(BASELINE, values=on_kind(BASELINE))
    ledger = []
    for under_load, settled in (*THERE, *BACK):
        accepted, again = change(space, under_load)
        ledger.append(f"{under_load}: {accepted} accepted, 0 lost, {again} ran twice")
        wait_for_publishers(space)
        require_empty(space, settled or under_load)
        if settled is not None:
            space.upgrade(settled, values=on_kind(settled))
    assert space.restarts() == {}
    record_property("phases", "; ".join(ledger))


def change(space: Space, environments: str) -> tuple[int, int]:
    """Change the release while tasks are published; return how many were accepted, and how many came twice."""
    with space.publishing(LOAD, per_second=PER_SECOND) as outcomes:
        space.upgrade(environments, values=on_kind(environments))
    accepted = outcomes["accepted"]
    assert outcomes.keys() == {"accepted"}, {name: len(ids) for name, ids in outcomes.items()}
    space.require_done(accepted, seconds=180, what=f"tasks accepted while the release became {environments}")
    again = space.delivered_again(accepted)
    assert again == {}, "workers that are told to stop finish what they have in work"
    return len(accepted), len(again)


def wait_for_publishers(space: Space) -> None:
    """Wait until who publishes in the client's pod from now on follows the release's routes."""
    wanted = topology.rendered(space)

    def follows() -> bool:
        text = space.kubectl.run("exec", client.NAME, "-n", space.name, "--", "cat", FILE, doing=f"reading {FILE}")
        return bool(json.loads(text) == wanted)

    eventually(follows, seconds=TOPOLOGY_SECONDS, what="the release's topology in the client's pod", every=5.0)


def require_empty(space: Space, environments: str) -> None:
    """Wait until nothing waits or is in work in any queue; those of before may have no consumer afterwards."""
    with space.management() as api:

        def holding() -> list[str]:
            return [one["name"] for one in api.queue_documents() if one.get("messages")]

        eventually(lambda: not holding(), seconds=60, what=f"empty queues before {environments}")


def on_kind(environments: str) -> dict[str, Any]:
    """Return what makes a phase fit a small cluster: one pod a class, so that the change is what moves pods."""
    if environments.startswith("prod"):
        return {}
    defaults = {"resources": SMALL, "scaler": "none", "replicas": {"min": 1, "max": 1}}
    small: dict[str, Any] = {"broker": {"mode": "external"}, "workerDefaults": defaults}
    if "phase-2" in environments.split(","):  # has a class with figures of its own
        small["workers"] = {"cpu": {"resources": SMALL, "replicas": {"min": 1, "max": 1}}}
    return small
