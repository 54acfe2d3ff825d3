"""Recorded series that no alert reads, tried by promtool."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.monitoring import rules
from tests.chart.rules import promtool, trial
from tests.chart.rules.cases import container, labels

pytestmark = [pytest.mark.xdist_group("promtool"), pytest.mark.timeout(300)]
TASK_COST = "celery_workers:task_cost:per_task1h"
POD = "celery-io-worker-6d5f-x2k4v"


def of_task(metric: str, task: str, **more: str) -> str:
    return f"{metric}{{{labels(class_='io', queue='io', task=task, **more)}}}"


def test_a_task_costs_its_part_of_what_its_class_cost(tmp_path: Path) -> None:
    """A core at 0.04 an hour, 240 tasks of 1 s and 240 of 3 s: a quarter and three quarters of it."""
    found = trial.rendered()["prod"]
    [rule] = [one for one in rules.recorded(found) if one["record"] == TASK_COST]
    done, run = "celery_workers_tasks_total", "celery_workers_task_run_seconds_sum"
    series = {
        container("kube_pod_container_resource_requests", POD, resource="cpu"): "1x400",
        container("kube_pod_container_resource_requests", POD, resource="memory"): "0x400",
        of_task(done, "short", outcome="succeeded"): "0+1x400",
        of_task(done, "long", outcome="succeeded"): "0+1x400",
        of_task(done, "failing", outcome="failed"): "0+1x400",
        of_task(run, "short"): "0+1x400",
        of_task(run, "long"): "0+3x400",
    }
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f"round(1e6 * ({rule['expr']}))",
                "eval_time": "90m30s",
                "exp_samples": [
                    {"labels": '{class="io", task="long"}', "value": 125},
                    {"labels": '{class="io", task="short"}', "value": 42},
                ],
            }
        ],
    }
    written = tmp_path / "rules.json"
    written.write_text(json.dumps(promtool.needed(found, TASK_COST)))
    path = tmp_path / "test.json"
    path.write_text(json.dumps({"rule_files": [str(written)], "evaluation_interval": "15s", "tests": [test]}))
    outcome = promtool.run([path])
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
