"""When each alert fires, when it does not, and when it is silent again: the documents' thresholds and what lies near.

A sample every 15 s unless a case says otherwise: `0x39` is ten minutes of 0, `0+2x40` ten minutes of growth.
"""

from __future__ import annotations

import itertools

from tests.chart.rules.promtool import Case
from tests.unit.autoscaling.builders import external, hpa, queue_run, rules

IO = {"class": "io", "queue": "io"}
GIB = 2**30


def labels(**pairs: object) -> str:
    return ",".join(f'{name.rstrip("_")}="{value}"' for name, value in pairs.items())


def ready(queue: str, **more: str) -> str:
    return f"rabbitmq_detailed_queue_messages_ready{{{labels(queue=queue, vhost='/', **more)}}}"


def consumers(queue: str) -> str:
    return f"rabbitmq_detailed_queue_consumers{{{labels(queue=queue, vhost='/')}}}"


def tasks(queue: str, outcome: str, **more: str) -> str:
    return f"celery_workers_tasks_total{{{labels(class_=queue, queue=queue, task='t', outcome=outcome, **more)}}}"


def latency(queue: str, part: str) -> str:
    return f"celery_workers_task_latency_seconds_{part}{{{labels(class_=queue, queue=queue)}}}"


def dead(queue: str, reason: str) -> str:
    return f"celery_workers_dead_letters_total{{{labels(class_=queue, queue=queue, reason=reason)}}}"


def container(name: str, pod: str, **more: str) -> str:
    return f"{name}{{{labels(namespace='default', pod=pod, container='worker', **more)}}}"


def autoscaler(figure: str, name: str) -> str:
    return f"kube_horizontalpodautoscaler_{figure}{{{labels(namespace='default', horizontalpodautoscaler=name)}}}"


def keda_errors(**namespaces: str) -> str:
    return f"keda_scaled_object_errors_total{{{labels(scaledObject='celery-io-worker', **namespaces)}}}"


def full_io_spike() -> str:
    """Return the pods wanted in one full spike by the guide's own policy, as the controller's arithmetic has it.

    More than any number of pods could take for five minutes, then nothing: 1, 4 and 5 within a minute, and 15 minutes
    after the last need one pod less every 10 minutes. Six changes in an hour.
    """
    up = rules(("Pods", 3, 60), ("Percent", 100, 120), window=0)
    down = rules(("Pods", 1, 600), window=900)
    spec = hpa(external(average="200"), maximum=5, behavior={"scaleUp": up, "scaleDown": down})
    before, flood, after = 40, 20, 200
    decisions = queue_run(spec, lambda now: 1_000_000 if now < flood * 15 else 0, syncs=flood + after)
    wanted = [1] * before + [decision.desired for decision in decisions]
    assert sum(one != two for one, two in itertools.pairwise(wanted)) == 6
    return " ".join(map(str, wanted))


QUEUES = [
    Case("a queue above 80 % fires after a minute and is silent once it is empty", "QueueNearlyFull",
         {ready("io"): "0x39 4500x39 0x40"}, fires=["12m", "19m"], silent=["9m", "10m30s", "21m"],
         labels={**IO, "severity": "critical", "release": "celery", "namespace": "default"}),
    Case("a queue at 80 % is not above it", "QueueNearlyFull", {ready("io"): "4000x80"}, silent=["15m"]),
    Case("a burst that is gone within a minute calls nobody", "QueueNearlyFull",
         {ready("io"): "0x39 5000x2 0x60"}, silent=["10m30s", "11m", "12m"]),
    Case("a queue of the same name of another release is not ours", "QueueNearlyFull",
         {ready("io", release="other"): "4900x80", ready("io", release="celery"): "10x80"}, silent=["15m"]),
    Case("the series that the release's own PodMonitor made are", "QueueNearlyFull",
         {ready("io", release="celery", namespace="default"): "4900x80"}, fires=["15m"]),
    Case("a queue above 50 % fires after two minutes and is silent once it is below", "QueueFilling",
         {ready("cpu"): "0x39 510x39 490x40"}, fires=["13m"], silent=["9m", "11m", "21m"],
         labels={"class": "cpu", "queue": "cpu", "severity": "warning"}),
    Case("a queue at 50 % is not above it", "QueueFilling", {ready("cpu"): "500x80"}, silent=["15m"]),
    Case("tasks that nobody takes fire after five minutes, until somebody does", "NoConsumer",
         {ready("io"): "7x120", consumers("io"): "0x79 1x40"}, fires=["6m", "19m"], silent=["4m", "21m"],
         labels={**IO, "severity": "critical"}),
    Case("an empty queue without consumers waits for nobody", "NoConsumer",
         {ready("io"): "0x80", consumers("io"): "0x80"}, silent=["15m"]),
    Case("a queue that ops has paused waits on purpose, until it goes on", "NoConsumer",
         {ready("io"): "7x120", consumers("io"): "0x120",
          'celery_workers_queue_paused{class="io",queue="io"}': "1x59 0x60"},
         fires=["21m"], silent=["14m", "19m"]),
    Case("another queue's pause does not hide it", "NoConsumer",
         {ready("io"): "7x80", consumers("io"): "0x80",
          'celery_workers_queue_paused{class="cpu",queue="cpu"}': "1x80"}, fires=["10m"]),
    Case("ten dead letters more fire, until a quarter of an hour without more", "DeadLettersGrowing",
         {ready("io.dead"): "5x39 15x120", dead("io", "expired"): "0x39 8x120", dead("io", "failed"): "0x39 2x120"},
         fires=["10m30s", "24m"], silent=["9m", "26m"], labels=IO),
    Case("dead letters that go back to work are no growth", "DeadLettersGrowing",
         {ready("io.dead"): "500x39 100x80"}, silent=["9m", "11m", "20m"]),
    Case("a few dead letters call nobody", "DeadLettersGrowing", {ready("io.dead"): "5x39 14x80"}, silent=["12m"]),
    Case("a task that has waited for 80 % of its time fires, until it is taken", "OldestNearTtl",
         {'celery_workers_queue_oldest_seconds{class="io",queue="io"}': "600x39 1500x39 3x40"},
         fires=["12m"], silent=["9m", "21m"], labels={**IO, "severity": "warning"}),
    Case("a task at 80 % of its time is not above it", "OldestNearTtl",
         {'celery_workers_queue_oldest_seconds{class="io",queue="io"}': "1440x80"}, silent=["15m"]),
]  # fmt: skip

TASKS = [
    Case("one of five tasks failing fires, until a quarter of an hour without failures", "FailureRatio",
         {tasks("io", "succeeded"): "0+80x160", tasks("io", "failed"): "0+20x40 800x120"},
         fires=["8m", "20m"], silent=["1m", "27m"], labels={**IO, "severity": "critical"}),
    Case("retries and refusals are no failures", "FailureRatio",
         {tasks("io", "succeeded"): "0+95x80", tasks("io", "failed"): "0+5x80",
          tasks("io", "retried"): "0+90x80", tasks("io", "rejected"): "0+90x80", tasks("io", "revoked"): "0+50x80"},
         silent=["8m", "15m"]),
    Case("a queue without a failure has a ratio of 0", "FailureRatio",
         {tasks("io", "succeeded"): "0+80x80"}, silent=["15m"]),
    Case("four failures are too few to call, whatever the ratio", "FailureRatio",
         {tasks("io", "succeeded"): "0x20 1x60", tasks("io", "failed"): "0x20 4x60"}, silent=["8m", "12m"]),
    Case("a queue with few tasks is judged by the hour", "FailureRatio",
         {tasks("cpu", "succeeded"): "0x39 1x39 2x39 3x39 4x39 5x39 6x39 7x39",
          tasks("cpu", "failed"): "0x39 1x39 2x39 3x39 4x39 5x39 6x39 7x39"},
         fires=["63m"], silent=["30m"], labels={"class": "cpu"}),
    Case("failures of another release are not ours", "FailureRatio",
         {tasks("io", "succeeded", release="other"): "0+50x80", tasks("io", "failed", release="other"): "0+50x80"},
         silent=["10m"]),
    Case("tasks that take ten times the values' normal fire after five minutes, until they do not", "LatencyHigh",
         {latency("io", "count"): "0+10x120", latency("io", "sum"): "0+200x60 12000+20x60", ready("io"): "0x120"},
         fires=["10m"], silent=["4m", "27m"], labels={**IO, "severity": "warning"}),
    Case("what is below the floor calls nobody, though it is four times the normal", "LatencyHigh",
         {latency("io", "count"): "0+10x120", latency("io", "sum"): "0+80x120", ready("io"): "0x120"},
         silent=["10m", "20m"]),
    Case("a single slow task calls nobody", "LatencyHigh",
         {latency("io", "count"): "0x39 1x80", latency("io", "sum"): "0x39 300x80", ready("io"): "0x120"},
         silent=["10m", "13m", "14m45s", "15m", "16m"]),
    Case("after a day the day is what is normal, not the values; its last half hour is not yet", "LatencyHigh",
         {latency("io", "count"): "0+10x500", latency("io", "sum"): "0+200x375 75200+600x120", ready("io"): "0x500"},
         fires=["10h", "25h24m"], silent=["24h48m"], interval="4m"),
    Case("a bad hour does not become what is normal", "LatencyHigh",
         {latency("io", "count"): "0+10x500",
          latency("io", "sum"): "0+200x300 60200+9000x15 195200+200x60 207400+600x120", ready("io"): "0x500"},
         fires=["25h36m"], silent=["24h48m"], interval="4m"),
    Case("an open breaker fires after a minute, until it closes", "BreakerOpen",
         {'celery_workers_breaker_open{breaker="orders-db"}': "0x39 1x39 0x40"},
         fires=["12m"], silent=["9m", "21m"], labels={"breaker": "orders-db", "severity": "warning"}),
]  # fmt: skip

PODS = [
    Case("CPU above 90 % with a growing queue fires after two minutes, until the queue stops growing", "CpuNearLimit",
         {container("container_cpu_usage_seconds_total", "celery-cpu-worker-6d5f-x2k4v"): "0+28.5x120",
          container("kube_pod_container_resource_limits", "celery-cpu-worker-6d5f-x2k4v", resource="cpu"): "2x120",
          container("kube_pod_container_resource_limits", "celery-cpu-worker-6d5f-ended", resource="cpu"): "2x120",
          ready("cpu"): "0+2x60 122x60"},
         fires=["6m", "14m"], silent=["1m", "23m"], labels={"class": "cpu", "severity": "critical"}),
    Case("a busy worker whose queue does not grow is what it is for", "CpuNearLimit",
         {container("container_cpu_usage_seconds_total", "celery-cpu-worker-6d5f-x2k4v"): "0+30x80",
          container("kube_pod_container_resource_limits", "celery-cpu-worker-6d5f-x2k4v", resource="cpu"): "2x80",
          ready("cpu"): "50x80"}, silent=["10m", "15m"]),
    Case("a growing queue with idle CPU is not the CPU's doing", "CpuNearLimit",
         {container("container_cpu_usage_seconds_total", "celery-cpu-worker-6d5f-x2k4v"): "0+15x80",
          container("kube_pod_container_resource_limits", "celery-cpu-worker-6d5f-x2k4v", resource="cpu"): "2x80",
          ready("cpu"): "0+2x80"}, silent=["10m", "15m"]),
    Case("a pod of another class, or of somebody else, is not counted", "CpuNearLimit",
         {container("container_cpu_usage_seconds_total", "celery-cpu-worker-b-worker-6d5f-x2k4v"): "0+30x80",
          container("kube_pod_container_resource_limits", "celery-cpu-worker-b-worker-6d5f-x2k4v",
                    resource="cpu"): "2x80",
          ready("cpu"): "0+2x80"}, silent=["10m", "15m"]),
    Case("one pod near its memory limit fires, though the others are not", "MemoryHigh",
         {container("container_memory_working_set_bytes", "celery-io-worker-6d5f-x2k4v"):
              f"{GIB}x39 {3.6 * GIB:.0f}x39 {GIB}x40",
          container("container_memory_working_set_bytes", "celery-io-worker-6d5f-b7m2q"): f"{GIB}x120",
          container("kube_pod_container_resource_limits", "celery-io-worker-6d5f-x2k4v", resource="memory"):
              f"{4 * GIB}x120",
          container("kube_pod_container_resource_limits", "celery-io-worker-6d5f-b7m2q", resource="memory"):
              f"{4 * GIB}x120"},
         fires=["16m", "19m"], silent=["9m", "14m", "21m"], labels={"class": "io", "severity": "warning"}),
    Case("memory at 85 % is not above it", "MemoryHigh",
         {container("container_memory_working_set_bytes", "celery-io-worker-6d5f-x2k4v"): f"{int(3.4 * GIB)}x80",
          container("kube_pod_container_resource_limits", "celery-io-worker-6d5f-x2k4v", resource="memory"):
              f"{4 * GIB}x80"}, silent=["15m"]),
    Case("a queue that grows beyond all slots at the most pods fires, until it shrinks", "AtMaxReplicasAndGrowing",
         {ready("io"): "0+30x80 2400-30x80", autoscaler("status_current_replicas", "celery-io-worker"): "5x170",
          autoscaler("spec_max_replicas", "celery-io-worker"): "5x170"},
         fires=["15m", "20m"], silent=["8m", "26m"], labels={"class": "io", "severity": "warning"}),
    Case("so it does where KEDA made the autoscaler", "AtMaxReplicasAndGrowing",
         {ready("io"): "1100+30x80", autoscaler("status_current_replicas", "keda-hpa-celery-io-worker"): "5x80",
          autoscaler("spec_max_replicas", "keda-hpa-celery-io-worker"): "5x80"}, fires=["15m"]),
    Case("a maximum that ops has raised leaves room", "AtMaxReplicasAndGrowing",
         {ready("io"): "1100+30x80", autoscaler("status_current_replicas", "celery-io-worker"): "5x80",
          autoscaler("spec_max_replicas", "celery-io-worker"): "8x80"}, silent=["15m"]),
    Case("a long queue that does not grow will be worked off", "AtMaxReplicasAndGrowing",
         {ready("io"): "3000x80", autoscaler("status_current_replicas", "celery-io-worker"): "5x80",
          autoscaler("spec_max_replicas", "celery-io-worker"): "5x80"}, silent=["15m"]),
    Case("without a scaler all pods are the most", "AtMaxReplicasAndGrowing",
         {ready("io"): "210+30x80",
          f"kube_deployment_status_replicas{{{labels(namespace='default', deployment='celery-io-worker')}}}": "1x80"},
         fires=["15m"], rules="dev"),
    Case("a full spike by the guide's own policy is no flapping", "ScalingEvents",
         {autoscaler("status_desired_replicas", "celery-io-worker"): full_io_spike()},
         silent=["12m", "30m", "58m", "62m"]),
    Case("the guide's literal rule calls for it: a false alarm", "ScalingEvents",
         {autoscaler("status_desired_replicas", "celery-io-worker"): full_io_spike()},
         fires=["62m"], silent=["58m", "71m"], labels={"class": "io"}, rules="literal"),
    Case("pods that come and go every five minutes fire, until an hour of peace", "ScalingEvents",
         {autoscaler("status_desired_replicas", "keda-hpa-celery-io-worker"):
              "1x19 3x19 1x19 3x19 1x19 3x19 1x19 3x19 1x400"},
         fires=["26m", "60m"], silent=["14m", "101m"], labels={"class": "io", "severity": "critical"}),
    Case("a second spike within the hour is none either", "ScalingEvents",
         {autoscaler("status_desired_replicas", "celery-io-worker"): "1x19 4x3 5x79 4x39 3x19 5x200"},
         silent=["10m", "38m", "60m"]),
]  # fmt: skip

WATCHING = [
    Case("a queue without its policy fires after five minutes, until it is applied", "PolicyMissing",
         {'celery_workers_queue_policy_missing{class="io",queue="io"}': "0x19 1x39 0x40"},
         fires=["11m"], silent=["4m", "9m", "16m"], labels={**IO, "severity": "critical"}),
    Case("an exporter without its broker fires, until it is back", "ExporterDown",
         {"celery_workers_exporter_up": "1x19 0x39 1x40"}, fires=["11m"], silent=["4m", "9m", "16m"]),
    Case("an exporter that is not there fires", "ExporterDown", {"up": "1x80"}, fires=["6m"], silent=["4m"]),
    Case("another release's exporter is not ours", "ExporterDown",
         {'celery_workers_exporter_up{release="other"}': "1x80"}, fires=["6m"]),
    Case("where there is to be no exporter, none is missed", "ExporterDown", {"up": "1x80"}, silent=["10m"],
         rules="dev"),
    Case("a scaler without answers fires after five minutes, until it has them", "ScalerFailing",
         {keda_errors(exported_namespace="default", namespace="keda"): "0x19 0+2x39 78x60"},
         fires=["11m", "14m"], silent=["4m", "9m", "19m"], labels={"class": "io", "severity": "warning"}, rules="keda"),
    Case("so it does where the operator's own labels are kept", "ScalerFailing",
         {keda_errors(namespace="default"): "0x19 0+1x60"}, fires=["11m"], rules="keda"),
    Case("a broker that restarts calls nobody", "ScalerFailing",
         {keda_errors(exported_namespace="default", namespace="keda"): "0x19 0+2x4 8x60"},
         silent=["6m", "8m", "10m", "12m"], rules="keda"),
    Case("another namespace's scaler of the same name is not ours", "ScalerFailing",
         {keda_errors(exported_namespace="other", namespace="keda"): "0+2x80"}, silent=["11m"], rules="keda"),
    Case("a queue RabbitMQ tells nothing about fires, until it does", "SeriesMissing", {ready("io"): "_x59 0x60"},
         fires=["12m"], silent=["9m", "16m"], labels={**IO, "source": "rabbitmq", "severity": "warning"}),
    Case("an autoscaler nobody tells about fires", "SeriesMissing",
         {autoscaler("status_desired_replicas", "celery-cpu-worker"): "1x80"}, fires=["12m"],
         labels={"class": "io", "source": "kube-state-metrics"}),
    Case("one that is told about does not", "SeriesMissing",
         {autoscaler("status_desired_replicas", "keda-hpa-celery-io-worker"): "1x80"}, silent=["12m"],
         labels={"class": "io", "source": "kube-state-metrics"}),
    Case("pods nobody measures fire, and nothing else where all is told", "SeriesMissing",
         {**{ready(queue): "0x80" for queue in ("io", "cpu", "mixed")},
          **{autoscaler("status_desired_replicas", f"celery-{name}-worker"): "1x80" for name in ("io", "cpu", "mixed")},
          **{container("container_cpu_usage_seconds_total", f"celery-{name}-worker-6d5f-x2k4v"): "0+1x80"
             for name in ("io", "cpu")}},
         fires=["12m"], labels={"class": "mixed", "source": "cadvisor"}),
]  # fmt: skip

FAST, SLOW = "ErrorBudgetBurningFast", "ErrorBudgetBurningSlowly"
COMPLETION = [
    Case("one failure in twenty burns the budget fast, until it stops", FAST,
         {tasks("io", "succeeded"): "0+100x240", tasks("io", "failed"): "0+5x60 300x180"}, interval="1m",
         fires=["10m", "60m"], silent=["97m"], labels={"class": "io", "window": "1h", "severity": "critical"}),
    Case("tasks that expire are not completed either", FAST,
         {tasks("io", "succeeded"): "0+100x80", dead("io", "expired"): "0+5x80"}, interval="1m", fires=["15m"]),
    Case("refusals, retries and failures' own letters are not counted, nor twice", FAST,
         {tasks("io", "succeeded"): "0+1000x80", tasks("io", "failed"): "0+10x80", tasks("io", "retried"): "0+500x80",
          dead("io", "failed"): "0+10x80", dead("io", "maxlen"): "0+500x80", dead("io", "refused"): "0+500x80"},
         interval="1m", silent=["15m", "70m"], labels={"window": "1h"}),
    Case("another class's failures are not this one's", FAST,
         {tasks("io", "succeeded"): "0+100x80", tasks("cpu", "failed"): "0+5x80"}, interval="1m", silent=["15m"],
         labels={"class": "io"}),
    Case("a handful of failures calls nobody, whatever the ratio", FAST,
         {tasks("io", "succeeded"): "0+1x80", tasks("io", "failed"): "0x9 8x70"}, interval="1m", silent=["15m", "30m"]),
    Case("half a percent burns it slowly, until it stops", SLOW,
         {tasks("io", "succeeded"): "0+4000x400", tasks("io", "failed"): "0+20x120 2400x280"}, interval="4m",
         fires=["4h"], silent=["15h"], labels={"class": "io", "severity": "warning"}),
    Case("and not fast", FAST,
         {tasks("io", "succeeded"): "0+4000x400", tasks("io", "failed"): "0+20x120 2400x280"}, interval="4m",
         silent=["4h", "7h"]),
    Case("what the objective allows calls nobody", SLOW,
         {tasks("io", "succeeded"): "0+4000x400", tasks("io", "failed"): "0+3x400"}, interval="4m",
         silent=["4h", "20h"]),
]  # fmt: skip

CASES = (*QUEUES, *TASKS, *PODS, *WATCHING, *COMPLETION)
