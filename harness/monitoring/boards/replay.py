"""Spike replay: everything of one spike on one axis, the alerts that fired marked on it. Pure."""

from __future__ import annotations

from harness.monitoring.boards.board import (
    CORES,
    HALF,
    MESSAGES,
    PODS,
    SECONDS,
    SHARE,
    TASKS_PER_SECOND,
    WHOLE,
    Board,
    Panel,
    Query,
    Row,
)
from harness.monitoring.boards.health import ACTIVE, FILL, LIMIT, READY
from harness.monitoring.boards.performance import LATENCY, NEEDED, NOT_DONE, WANTED
from harness.monitoring.boards.series import RATE, of_deployments, of_pods, or_zero, own, quantile

THROUGHPUT = own("celery_workers:throughput:per_second")
UNDONE = f"sum by (class) ({own(READY)}) + sum by (class) ({own(ACTIVE)})"

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
                    f"clamp_min(sum by (class) ({THROUGHPUT}) + on (class) deriv(({UNDONE})[1m:5s]), 0)",
                    "{{class}} arrived",
                    limit=True,
                ),
            ],
        ),
        Panel(
            title="Waiting, by queue",
            unit=MESSAGES,
            help="Messages that wait, and how many may.",
            queries=[
                Query(f"sum by (queue) ({own(READY)})", "{{queue}}"),
                Query(f"max by (queue) ({own(LIMIT)})", "{{queue}} limit", limit=True),
            ],
        ),
        Panel(
            title="How full, by queue",
            unit=SHARE,
            warning=0.5,
            critical=0.8,
            help="Messages that wait over the limit.",
            queries=[Query(f"max by (queue) ({own(FILL)})", "{{queue}}")],
        ),
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
            queries=[Query(of_pods("container_cpu_usage_seconds_total", 'container!=""', rate=True), "{{class}}")],
        ),
        Panel(
            title="Not done, by class and outcome",
            unit=TASKS_PER_SECOND,
            width=HALF,
            help="Tasks a second that failed, were tried again, rejected or revoked. 0 where none was.",
            queries=[
                Query(
                    or_zero(
                        f"sum by (class, outcome) (rate({NOT_DONE}[{RATE}]))",
                        of=f"sum by (class) ({own('celery_workers_workers')})",
                        by="class",
                    ),
                    "{{class}} {{outcome}}",
                )
            ],
        ),
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
