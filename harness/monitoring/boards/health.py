"""Worker health: what is wrong, in ten seconds. Pure."""

from __future__ import annotations

from harness.monitoring.boards.board import (
    ALERTS,
    BYTES,
    BYTES_PER_SECOND,
    CORES,
    COUNT,
    HALF,
    MESSAGES,
    PODS,
    SECONDS,
    SHARE,
    SIXTH,
    TASKS,
    THIRD,
    Board,
    Panel,
    Query,
    Row,
)
from harness.monitoring.boards.series import RATE, of_autoscalers, of_deployments, of_pods, or_zero, own

READY = "celery_workers:queue_ready:messages"
UNACKED = "celery_workers:queue_unacked:messages"
CONSUMERS = "celery_workers:queue_consumers:count"
FILL = "celery_workers:queue_fill:ratio"
LIMIT = "celery_workers_queue_limit_messages"
ACTIVE = "celery_workers_tasks_active"
FIRING = own("ALERTS", 'alertstate="firing"')
DEAD = own("celery_workers_dead_letters_total")
USED_MEMORY = of_pods("container_memory_working_set_bytes", 'container!=""')
USED_CPU = of_pods("container_cpu_usage_seconds_total", 'container!=""', rate=True)
MEMORY_LIMIT = of_pods("kube_pod_container_resource_limits", 'resource="memory"')

GLANCE = Row(
    "At a glance",
    [
        Panel(
            title="Alerts firing",
            unit=ALERTS,
            kind="stat",
            width=SIXTH,
            warning=1,
            critical=3,
            help="Alerts of this release that fire now. None is 0.",
            queries=[Query(f"count({FIRING}) or vector(0)", "firing", at_once=True)],
        ),
        Panel(
            title="Fullest queue",
            unit=SHARE,
            kind="stat",
            width=SIXTH,
            warning_of="queueFilling",
            critical_of="queueNearlyFull",
            most=1,
            help="Messages that wait over the queue's limit, of the queue where that is most.",
            queries=[Query(f"max({own(FILL)})", "full", at_once=True)],
        ),
        Panel(
            title="Waiting",
            unit=MESSAGES,
            kind="stat",
            width=SIXTH,
            help="Messages that wait in all queues; those in work are not among them.",
            queries=[Query(f"sum({own(READY)})", "waiting", at_once=True)],
        ),
        Panel(
            title="In work",
            unit=TASKS,
            kind="stat",
            width=SIXTH,
            help="Tasks that workers say they run.",
            queries=[Query(f"sum({own(ACTIVE)})", "in work", at_once=True)],
        ),
        Panel(
            title="Workers",
            unit=PODS,
            kind="stat",
            width=SIXTH,
            help="Workers that are heard of. A pod that is starting, or that hangs, is not among them.",
            queries=[Query(f"sum({own('celery_workers_workers')})", "workers", at_once=True)],
        ),
        Panel(
            title="Exporter",
            unit=COUNT,
            kind="stat",
            width=SIXTH,
            warning=1,
            critical=0,
            meanings=[(0, "down"), (1, "up")],
            help="Whether the exporter has its connection to the broker; without it the task series stand still.",
            queries=[Query(f"min({own('celery_workers_exporter_up')})", "exporter", at_once=True)],
        ),
    ],
)

WAITING = Panel(
    title="Waiting, by queue",
    unit=MESSAGES,
    help="Messages that wait, and how many may. A full queue refuses what is published.",
    queries=[
        Query(f"sum by (queue) ({own(READY)})", "{{queue}}"),
        Query(f"max by (queue) ({own(LIMIT)})", "{{queue}} limit", limit=True),
    ],
)
FULL = Panel(
    title="How full, by queue",
    unit=SHARE,
    warning_of="queueFilling",
    critical_of="queueNearlyFull",
    help="Messages that wait over the limit. Above {warning} warns, above {critical} is critical.",
    queries=[Query(f"max by (queue) ({own(FILL)})", "{{queue}}")],
)
QUEUES = Row(
    "Queues",
    [
        WAITING,
        FULL,
        Panel(
            title="Oldest waiting task",
            unit=SECONDS,
            width=THIRD,
            help="How long the first message of a queue has waited, and after how long it expires. 0 while none waits.",
            queries=[
                Query(
                    f"max by (queue) ({own('celery_workers_queue_oldest_seconds')})"
                    f" or (sum by (queue) ({own(READY)}) == 0)",
                    "{{queue}}",
                ),
                Query(f"max by (queue) ({own('celery_workers_queue_ttl_seconds')})", "{{queue}} expires", limit=True),
            ],
        ),
        Panel(
            title="Delivered, not yet done",
            unit=MESSAGES,
            width=THIRD,
            help="Messages that workers hold. They do not count against the queue's limit.",
            queries=[Query(f"sum by (queue) ({own(UNACKED)})", "{{queue}}")],
        ),
        Panel(
            title="Consumers, by queue",
            unit=COUNT,
            width=THIRD,
            help="Who takes messages from a queue. None means that nobody works on it.",
            queries=[Query(f"sum by (queue) ({own(CONSUMERS)})", "{{queue}}")],
        ),
    ],
)

WORKERS = Row(
    "Workers",
    [
        Panel(
            title="Active tasks, by class",
            unit=TASKS,
            stacked=True,
            help="Tasks that the workers of a class say they run.",
            queries=[Query(f"sum by (class) ({own(ACTIVE)})", "{{class}}")],
        ),
        Panel(
            title="Pods, by class",
            unit=PODS,
            help="Pods that are ready, those that the autoscaler wants, and the most it may have.",
            queries=[
                Query(of_deployments("kube_deployment_status_replicas_ready"), "{{class}} ready"),
                Query(of_autoscalers("kube_horizontalpodautoscaler_status_desired_replicas"), "{{class}} wanted"),
                Query(
                    of_autoscalers("kube_horizontalpodautoscaler_spec_max_replicas"), "{{class}} at most", limit=True
                ),
            ],
        ),
        Panel(
            title="CPU, by class",
            unit=CORES,
            help="Cores that the pods of a class use together, and what they request.",
            queries=[
                Query(USED_CPU, "{{class}}"),
                Query(
                    of_pods("kube_pod_container_resource_requests", 'resource="cpu"'),
                    "{{class}} requested",
                    limit=True,
                ),
            ],
        ),
        Panel(
            title="CPU of the limit, by class",
            unit=SHARE,
            warning=0.8,
            critical_of="cpuNearLimit",
            help="At 100 % the kernel holds the pods back. Above {critical} is critical while the queue grows.",
            queries=[Query(f"max by (class) ({own('celery_workers:cpu_of_limit:ratio')})", "{{class}}")],
        ),
        Panel(
            title="Memory, by class",
            unit=BYTES,
            help="What the pods of a class hold together, and what they may.",
            queries=[
                Query(USED_MEMORY, "{{class}}"),
                Query(MEMORY_LIMIT, "{{class}} limit", limit=True),
            ],
        ),
        Panel(
            title="Memory of the limit, by class",
            unit=SHARE,
            warning_of="memoryHigh",
            critical=0.95,
            help="At 100 % the kernel kills the pod. Above {warning} warns.",
            queries=[Query(f"max by (class) ({own('celery_workers:memory_of_limit:ratio')})", "{{class}}")],
        ),
        Panel(
            title="Network I/O, by class",
            unit=BYTES_PER_SECOND,
            width=HALF,
            help="What the pods of a class receive and send.",
            queries=[
                Query(of_pods("container_network_receive_bytes_total", rate=True), "{{class}} received"),
                Query(of_pods("container_network_transmit_bytes_total", rate=True), "{{class}} sent"),
            ],
        ),
        Panel(
            title="Dead letters, by queue and reason",
            unit=MESSAGES,
            width=HALF,
            help="Tasks that were put aside, each interval: expired, rejected, failed. 0 where none was.",
            queries=[
                Query(
                    or_zero(
                        f"sum by (queue, reason) (increase({DEAD}[{RATE}]))",
                        of=f"max by (queue) ({own(LIMIT)})",
                        by="queue",
                    ),
                    "{{queue}} {{reason}}",
                )
            ],
        ),
    ],
)

HEALTH = Board(
    name="worker-health",
    title="Celery workers: health",
    help="Queues against their limits, workers and what they use.",
    rows=[GLANCE, QUEUES, WORKERS],
)
