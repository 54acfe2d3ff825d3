"""What looks at the flow at its own period: the trace's samples, queue statistics, metrics of pods."""

from __future__ import annotations

from harness.simulation.kernel import broker, cpu
from harness.simulation.kernel.state import DRAINING, GONE, PENDING, Flow


def look(s: Flow, now: float) -> None:
    """Do what is due, and find out when something is due next."""
    run = s.run[0]
    if run["share_at"] <= now:
        cpu.share(s, now)
        run["share_at"] += run["share_seconds"]
    if run["statistics_at"] <= now:
        _statistics(s, now)
        run["statistics_at"] += run["statistics_seconds"]
    if run["metrics_at"] <= now:
        _scrape(s, now)
        run["metrics_at"] += run["metrics_seconds"]
    if run["shown_at"] <= now:
        _show(s)
        run["shown_at"] += run["metrics_seconds"]
    if run["sample_at"] <= now:
        _sample(s, now)
        run["sample_at"] += 1.0
    plan(s)


def plan(s: Flow) -> None:
    """Find out when something is due next."""
    run = s.run[0]
    metrics_at = min(run["metrics_at"], run["shown_at"])
    run["clock_at"] = min(min(run["share_at"], run["statistics_at"]), min(metrics_at, run["sample_at"]))


def _statistics(s: Flow, now: float) -> None:
    """Keep what RabbitMQ's management says of each queue until the next time."""
    seconds = s.run[0]["statistics_seconds"]
    for q in range(len(s.queues)):
        broker.expire(s, q, now)
        queue = s.queues[q]
        queue["seen_ready"] = queue["ready"]
        queue["seen_unacked"] = queue["unacked"]
        queue["publish_rate"] = (queue["offered"] - queue["seen_offered"]) / seconds
        queue["deliver_rate"] = (queue["delivered"] - queue["seen_delivered"]) / seconds
        queue["seen_offered"] = queue["offered"]
        queue["seen_delivered"] = queue["delivered"]


def _scrape(s: Flow, now: float) -> None:
    """Measure every pod, as the kubelet does: use since the last time; a young container waits for the next."""
    for p in range(s.run[0]["pods"]):
        pod = s.pods[p]
        if pod["phase"] == GONE or pod["phase"] == PENDING:
            continue
        cpu.settle(s, p, now)
        working = s.classes[pod["worker_class"]]
        first = pod["scraped_at"] != pod["scraped_at"]  # not a number yet
        since = pod["created"] if first else pod["scraped_at"]
        window = now - since
        if window > 0.0 and not (first and window < s.run[0]["fresh_seconds"]):
            pod["taken_at"] = now
            pod["taken_window"] = window
            pod["taken_cores"] = (cpu.used(s, p) - pod["scraped_cpu"]) / window + working["idle_cores"]
            pod["taken_memory"] = working["memory"] + working["memory_per_task"] * pod["used"]
        pod["scraped_at"] = now
        pod["scraped_cpu"] = cpu.used(s, p)


def _show(s: Flow) -> None:
    """Let autoscalers see what was measured last, as metrics-server does when it has asked the kubelets."""
    for p in range(s.run[0]["pods"]):
        pod = s.pods[p]
        if pod["taken_at"] == pod["taken_at"]:  # not a number before the first
            pod["metric_at"] = pod["taken_at"]
            pod["metric_window"] = pod["taken_window"]
            pod["metric_cores"] = pod["taken_cores"]
            pod["metric_memory"] = pod["taken_memory"]


def _sample(s: Flow, now: float) -> None:
    run = s.run[0]
    row = run["samples"]
    for q in range(len(s.queues)):
        broker.expire(s, q, now)
        s.queue_samples[row, q]["ready"] = s.queues[q]["ready"]
        s.queue_samples[row, q]["unacked"] = s.queues[q]["unacked"]
    host = run["background"] + cpu.pod_cores(s)
    used = cpu.load_used(s)
    if run["shared"] == 1:
        host += used - run["sampled_load_cpu"]
    run["sampled_load_cpu"] = used
    for c in range(len(s.classes)):
        _sample_class(s, row, c, now)
        host += s.class_samples[row, c]["cpu"]
    s.host_samples[row] = host
    run["samples"] = row + 1


def _sample_class(s: Flow, row: int, c: int, now: float) -> None:
    working = s.classes[c]
    running, ready, memory, used, idle = 0, 0, 0.0, working["cpu_seconds"], 0.0
    for p in range(s.run[0]["pods"]):
        pod = s.pods[p]
        if pod["worker_class"] != c or pod["phase"] == GONE or pod["phase"] == PENDING:
            running += 1 if pod["worker_class"] == c and pod["phase"] == PENDING else 0
            continue
        cpu.settle(s, p, now)
        used += cpu.used(s, p)
        idle += working["idle_cores"]
        memory += working["memory"] + working["memory_per_task"] * pod["used"]
        ready += pod["ready"]
        running += 1 if pod["phase"] != DRAINING else 0
    busy = working["busy_seconds"] + (now - working["busy_since"]) * working["busy"]
    sample = s.class_samples[row, c]
    sample["desired"] = working["desired"]
    sample["running"] = running
    sample["ready"] = ready
    sample["memory"] = memory
    sample["cpu"] = used - working["sampled_cpu"] + idle
    sample["busy"] = busy - working["sampled_busy"]
    working["sampled_cpu"] = used
    working["sampled_busy"] = busy
