"""Spike replay: everything of one spike on one axis, the alerts that fired marked on it. Pure."""

from __future__ import annotations

from dataclasses import replace

from harness.monitoring.boards.board import (
    CORES,
    HALF,
    PODS,
    SECONDS,
    TASKS_PER_SECOND,
    WHOLE,
    Board,
    Panel,
    Query,
    Row,
)
from harness.monitoring.boards.health import FULL, USED_CPU, WAITING
from harness.monitoring.boards.performance import AT_HAND, LATENCY, NEEDED, UNSUCCESSFUL, WANTED
from harness.monitoring.boards.series import of_deployments, own, quantile

THROUGHPUT = own("celery_workers:throughput:per_second")

LOAD = Row(
    "The load and what became of it",
    [
        Panel(
            title="Arrived and done, by class",
            unit=TASKS_PER_SECOND,
            width=WHOLE,
            help="Done is counted. Arrived is what was done and by how much the tasks at hand grew: no series counts "
            "what every publisher sends.",
            queries=[
                Query(f"sum by (class) ({THROUGHPUT})", "{{class}} done"),
                Query(
                    f"clamp_min(sum by (class) ({THROUGHPUT}) + on (class) deriv(({AT_HAND})[1m:5s]), 0)",
                    "{{class}} arrived",
                    limit=True,
                ),
            ],
        ),
        replace(WAITING, help="Messages that wait, and how many may."),
        replace(FULL, help="Messages that wait over the limit."),
    ],
)

ANSWER = Row(
    "The answer",
    [
        Panel(
            title="Pods, by class",
            unit=PODS,
            help="What the autoscaler wanted, what was ready, and what the tasks at hand would have filled.",
            queries=[
                Query(WANTED, "{{class}} wanted"),
                Query(of_deployments("kube_deployment_status_replicas_ready"), "{{class}} ready"),
                Query(NEEDED, "{{class}} needed", limit=True),
            ],
        ),
        Panel(
            title="From publication to completion",
            unit=SECONDS,
            help="Percentiles of all tasks that ended.",
            queries=[
                Query(quantile(0.5, LATENCY, "release"), "50 %"),
                Query(quantile(0.95, LATENCY, "release"), "95 %"),
                Query(quantile(0.99, LATENCY, "release"), "99 %"),
            ],
        ),
        Panel(
            title="CPU, by class",
            unit=CORES,
            width=HALF,
            help="Cores that the pods of a class use together.",
            queries=[Query(USED_CPU, "{{class}}")],
        ),
        replace(UNSUCCESSFUL, width=HALF),
    ],
)

REPLAY = Board(
    name="spike-replay",
    title="Celery workers: spike replay",
    help="Choose the time of a spike above; every chart and every alert that fired stands on that time.",
    rows=[LOAD, ANSWER],
    since="now-30m",
    refresh="",
)
