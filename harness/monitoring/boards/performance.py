"""Performance: how fast, how often it fails, and whether the autoscaler wants what is needed. Pure."""

from __future__ import annotations

from harness.monitoring.boards.board import (
    EVENTS,
    PODS,
    QUARTER,
    SECONDS,
    SHARE,
    TASKS,
    TASKS_PER_SECOND,
    THIRD,
    Board,
    Panel,
    Query,
    Row,
)
from harness.monitoring.boards.health import ACTIVE, READY
from harness.monitoring.boards.series import RANGE, RATE, of_autoscalers, of_deployments, or_zero, own, quantile

DONE = own("celery_workers_tasks_total", 'outcome="succeeded"')
FAILED = own("celery_workers_tasks_total", 'outcome="failed"')
NOT_DONE = own("celery_workers_tasks_total", 'outcome!="succeeded"')
RUN = "celery_workers_task_run_seconds"
LATENCY = "celery_workers_task_latency_seconds"

WANTED = of_autoscalers("kube_horizontalpodautoscaler_status_desired_replicas")
LEAST = of_autoscalers("kube_horizontalpodautoscaler_spec_min_replicas")
MOST = of_autoscalers("kube_horizontalpodautoscaler_spec_max_replicas")


def _bounded(expression: str) -> str:
    """Return pods between what the autoscaler must and may have."""
    below = f"(({expression}) < on (class) {MOST}) or on (class) {MOST}"
    return f"(({below}) > on (class) {LEAST}) or on (class) {LEAST}"


# Pods that the tasks at hand would fill: those that wait and those in work, over what one pod works on at once.
AT_HAND = f"sum by (class) ({own(READY)}) + sum by (class) ({own(ACTIVE)})"
PER_POD = f"max by (class) ({own('celery_workers_worker_concurrency')})"
NEEDED = _bounded(f"ceil(({AT_HAND}) / {PER_POD})")
# 1 where the autoscaler wants what is needed; half or double of it is 0.5.
ACCURACY = f"(({WANTED}) / on (class) ({NEEDED}) < 1) or on (class) (({NEEDED}) / on (class) ({WANTED}))"

FLOW = Row(
    "Flow",
    [
        Panel(
            title="Tasks done, by queue",
            unit=TASKS_PER_SECOND,
            stacked=True,
            help="Tasks a second that ended.",
            queries=[Query(f"sum by (queue) ({own('celery_workers:throughput:per_second')})", "{{queue}}")],
        ),
        Panel(
            title="From publication to completion, by queue",
            unit=SECONDS,
            help="Mean and 95th percentile of the last 5 minutes, and the normal mean. Twice the normal warns.",
            queries=[
                Query(f"max by (queue) ({own('celery_workers:latency_seconds:avg_5m')})", "{{queue}} mean"),
                Query(f"max by (queue) ({own('celery_workers:latency_seconds:p95_5m')})", "{{queue}} 95 %"),
                Query(
                    f"max by (queue) ({own('celery_workers:latency_normal:seconds')})", "{{queue}} normal", limit=True
                ),
            ],
        ),
        Panel(
            title="Half are done within, by class",
            unit=SECONDS,
            width=THIRD,
            help="The median from publication to completion.",
            queries=[Query(quantile(0.5, LATENCY, "class"), "{{class}}")],
        ),
        Panel(
            title="95 % are done within, by class",
            unit=SECONDS,
            width=THIRD,
            help="The 95th percentile from publication to completion.",
            queries=[Query(quantile(0.95, LATENCY, "class"), "{{class}}")],
        ),
        Panel(
            title="99 % are done within, by class",
            unit=SECONDS,
            width=THIRD,
            help="The 99th percentile from publication to completion.",
            queries=[Query(quantile(0.99, LATENCY, "class"), "{{class}}")],
        ),
    ],
)

TIMES = Row(
    "Run times, by task type",
    [
        Panel(
            title="Median run time, by task",
            unit=SECONDS,
            help="How long a task runs, without its wait: half of them are faster.",
            queries=[Query(quantile(0.5, RUN, "task"), "{{task}}")],
        ),
        Panel(
            title="95th percentile of the run time, by task",
            unit=SECONDS,
            help="How long a task runs, without its wait: 5 of 100 take longer.",
            queries=[Query(quantile(0.95, RUN, "task"), "{{task}}")],
        ),
        Panel(
            title="Mean run time in the shown time, by task",
            unit=SECONDS,
            kind="bars",
            help="Time in work over the number of runs.",
            queries=[
                Query(
                    f"sum by (task) (increase({own(RUN + '_sum')}[{RANGE}]))"
                    f" / (sum by (task) (increase({own(RUN + '_count')}[{RANGE}])) > 0)",
                    "{{task}}",
                    at_once=True,
                )
            ],
        ),
        Panel(
            title="Done in the shown time, by task",
            unit=TASKS,
            kind="bars",
            help="Tasks that succeeded.",
            queries=[Query(f"sum by (task) (increase({DONE}[{RANGE}]))", "{{task}}", at_once=True)],
        ),
    ],
)

UNSUCCESSFUL = Panel(
    title="Not done, by class and outcome",
    unit=TASKS_PER_SECOND,
    width=THIRD,
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
)
ERRORS = Row(
    "Errors, by worker pool",
    [
        Panel(
            title="Failures of all that ended, by class",
            unit=SHARE,
            width=THIRD,
            warning=0.05,
            critical=0.1,
            help="Failed over all that ended, in 5 minutes; retries and refusals are no failures. 10 % is critical.",
            queries=[Query(f"max by (class) ({own('celery_workers:task_failures:ratio5m')})", "{{class}}")],
        ),
        UNSUCCESSFUL,
        Panel(
            title="Failures in the shown time, by task",
            unit=TASKS,
            kind="bars",
            width=THIRD,
            help="Tasks that failed. 0 where none did.",
            queries=[
                Query(
                    or_zero(
                        f"sum by (task) (increase({FAILED}[{RANGE}]))",
                        of=f"sum by (task) (increase({DONE}[{RANGE}]))",
                        by="task",
                    ),
                    "{{task}}",
                    at_once=True,
                )
            ],
        ),
    ],
)

SCALING = Row(
    "Scaling",
    [
        Panel(
            title="Pods wanted and needed, by class",
            unit=PODS,
            help="Needed: as many as the tasks that wait and those in work would fill, within the autoscaler's bounds.",
            queries=[
                Query(WANTED, "{{class}} wanted"),
                Query(NEEDED, "{{class}} needed", limit=True),
                Query(of_deployments("kube_deployment_status_replicas_ready"), "{{class}} ready"),
            ],
        ),
        Panel(
            title="Accuracy, by class",
            unit=SHARE,
            width=QUARTER,
            most=1,
            help="How near what is wanted comes to what is needed: the less over the more. 50 % is half or double.",
            queries=[Query(ACCURACY, "{{class}}")],
        ),
        Panel(
            title="Accuracy in the shown time",
            unit=SHARE,
            kind="stat",
            tall=True,
            width=QUARTER,
            most=1,
            warning=0.8,
            critical=0.5,
            help="Its mean over the shown time.",
            queries=[Query(f"avg_over_time(({ACCURACY})[{RANGE}:1m])", "{{class}}", at_once=True)],
        ),
        Panel(
            title="Scaling events in an hour, by class",
            unit=EVENTS,
            help="How often the autoscaler changed its mind in the last hour.",
            queries=[Query(f"max by (class) ({own('celery_workers:scaling_events:count1h')})", "{{class}}")],
        ),
        Panel(
            title="Reversals in an hour, by class",
            unit=EVENTS,
            help="How often it went the other way: a spike goes up and comes down once; more is flapping.",
            queries=[Query(f"max by (class) ({own('celery_workers:scaling_reversals:count1h')})", "{{class}}")],
        ),
    ],
)

PERFORMANCE = Board(
    name="performance",
    title="Celery workers: performance",
    help="Times by task type, errors by pool, and scaling against what was needed.",
    rows=[FLOW, TIMES, ERRORS, SCALING],
)
