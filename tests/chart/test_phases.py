"""The way from the old workers to the new: each phase has the report's figures, and no queue is left behind."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from examx.catalogue import TASKS
from harness.chart import render
from harness.chart.render import environment_files

OLD = ("bulk-upload", "default", "enrichment", "question-generator-ai")
OLD_QUEUES = {"bulk_upload", "default", "question_enrichment", "question_generator_ai"}
CPU_QUEUES = {"cpu_intensive", "pdf_generation", "data_processing"}
BASELINE, PHASE_1, PHASE_2 = "baseline", "baseline,phase-1", "baseline,phase-1,phase-2"
PHASE_3, PHASE_3_ON_THE_WAY = "prod,keda", "prod,keda,phase-3"
PHASE_2_BACK, PHASE_1_BACK = f"{PHASE_2},phase-2-back", f"{PHASE_1},phase-1-back"
# From what, to what: each change of docs/how-to/migrate.md, there and back.
CHANGES = [
    (BASELINE, PHASE_1), (PHASE_1, PHASE_2), (PHASE_2, PHASE_3_ON_THE_WAY),
    (PHASE_3, PHASE_2_BACK), (PHASE_2, PHASE_1_BACK), (PHASE_1, BASELINE),
]  # fmt: skip


@cache
def manifests(environments: str) -> tuple[dict[str, Any], ...]:
    return tuple(render.render(environment_files(environments)))


def topology(environments: str) -> dict[str, Any]:
    return dict(render.topology(list(manifests(environments))))


def of_kind(environments: str, kind: str) -> dict[str, dict[str, Any]]:
    """Return the objects of a kind by their worker class."""
    return {
        one["metadata"]["labels"]["celery-workers/class"]: one for one in manifests(environments) if one["kind"] == kind
    }


def resources(environments: str, name: str) -> dict[str, Any]:
    return dict(of_kind(environments, "Deployment")[name]["spec"]["template"]["spec"]["containers"][0]["resources"])


def bounds_and_targets(environments: str, name: str) -> tuple[int, int, dict[str, int]]:
    spec = of_kind(environments, "HorizontalPodAutoscaler")[name]["spec"]
    targets = {one["resource"]["name"]: one["resource"]["target"]["averageUtilization"] for one in spec["metrics"]}
    return spec["minReplicas"], spec["maxReplicas"], targets


def queue_of(environments: str, task: str) -> str:
    found = topology(environments)
    return next((one["queue"] for one in found["routes"] if one["task"] == task), found["default_queue"])


@pytest.mark.parametrize("environments", [PHASE_1, PHASE_2])
@pytest.mark.parametrize("name", OLD)
def test_the_old_workers_get_the_reports_figures_of_phase_1(environments: str, name: str) -> None:
    asked = resources(environments, name)
    assert asked["requests"] == {"cpu": "200m", "memory": "2Gi"}
    assert asked["limits"] == {"cpu": "1000m", "memory": "4Gi"}
    assert bounds_and_targets(environments, name) == (1, 8, {"memory": 65, "cpu": 60})
    one = topology(environments)["classes"][name]
    assert (one["pool"], one["concurrency"]) == ("gevent", 80)


def test_phase_1_keeps_queues_and_routes() -> None:
    before, after = topology(BASELINE), topology(PHASE_1)
    assert set(before["queues"]) == set(after["queues"]) == OLD_QUEUES
    assert before["routes"] == after["routes"]


def test_phase_2_adds_what_computes() -> None:
    asked = resources(PHASE_2, "cpu")
    assert asked["requests"] == {"cpu": "1000m", "memory": "2Gi"}
    assert asked["limits"] == {"cpu": "2000m", "memory": "4Gi"}
    assert bounds_and_targets(PHASE_2, "cpu") == (1, 4, {"cpu": 75})
    assert "behavior" not in of_kind(PHASE_2, "HorizontalPodAutoscaler")["cpu"]["spec"]
    one = topology(PHASE_2)["classes"]["cpu"]
    assert (one["pool"], one["concurrency"], set(one["queues"])) == ("prefork", 4, CPU_QUEUES)
    assert set(of_kind(PHASE_2, "Deployment")) == {*OLD, "cpu"}


def test_phase_2_moves_the_six_tasks_that_compute_and_no_other() -> None:
    moved = {task for task in TASKS if queue_of(PHASE_1, task) != queue_of(PHASE_2, task)}
    assert moved == {task for task, spec in TASKS.items() if spec.worker_class == "cpu"}
    for task in ("bulk_upload_questions_task", "generate_question_paper_pdfs", "run_summary_metrics_task"):
        assert queue_of(PHASE_2, task) == "cpu_intensive"  # the report's own routing
    assert {queue_of(PHASE_2, task) for task in moved} == CPU_QUEUES


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_what_waits_in_a_queue_is_still_taken_after_a_change(before: str, after: str) -> None:
    served = {queue for one in topology(after)["classes"].values() for queue in one["queues"]}
    assert set(topology(before)["queues"]) <= served


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_a_change_asks_nothing_of_a_queue_that_rabbitmq_cannot_change_in_place(before: str, after: str) -> None:
    old, new = topology(before)["queues"], topology(after)["queues"]
    for name in old.keys() & new.keys():
        assert (old[name]["type"], old[name]["max_priority"]) == (new[name]["type"], new[name]["max_priority"]), name


@pytest.mark.parametrize(
    ("with_overlay", "without"), [(PHASE_3_ON_THE_WAY, PHASE_3), (PHASE_2_BACK, PHASE_2), (PHASE_1_BACK, PHASE_1)]
)
def test_an_overlay_for_the_way_adds_queues_and_nothing_else(with_overlay: str, without: str) -> None:
    there, settled = topology(with_overlay), topology(without)
    assert there["routes"] == settled["routes"]
    assert set(there["classes"]) == set(settled["classes"])
    assert set(settled["queues"]) < set(there["queues"])
    for name in of_kind(without, "Deployment"):
        assert resources(with_overlay, name) == resources(without, name)
