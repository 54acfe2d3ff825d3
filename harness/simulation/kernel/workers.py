"""A task's way through a pod, and a pod's own way from its creation to its end."""

from __future__ import annotations

import math

from harness.simulation.kernel import broker, cpu, events
from harness.simulation.kernel.state import (
    ACCEPTED,
    BOOT,
    BOOT_WAITED,
    DONE,
    DRAINING,
    FAILED,
    GONE,
    GRACE_END,
    INFINITY,
    NONE,
    OPEN,
    PENDING,
    PROBE_DUE,
    READY,
    RETRY_DUE,
    RUNNING,
    STARTING,
    WARM_UP,
    Flow,
)


def service_over(s: Flow, i: int, now: float) -> None:
    """Go on from waiting for others to the CPU, or to the end."""
    work = s.kinds[s.tasks[i]["kind"]]["cpu"] - broker.cpu_before(s, i)
    if work > 0.0:
        p = s.tasks[i]["pod"]
        s.pods[p]["turned"] += 1
        cpu.enter(s, p, i, cpu.priced(s, p, i, work), now)
    else:
        finish(s, i, now)


def cpu_over(s: Flow, p: int, now: float) -> None:
    """Go on after the CPU: a task has its next turn, waits for others or ends; a pod that starts takes tasks."""
    item = cpu.leave(s, p, now)
    if item == BOOT:
        take_tasks(s, p, now)
    elif item != WARM_UP and s.tasks[item]["asked"] == 0:
        broker.go_on(s, item, now)
    elif item != WARM_UP:
        finish(s, item, now)


def finish(s: Flow, i: int, now: float) -> None:
    """End a run of a task and give its slot to the next."""
    task = s.tasks[i]
    kind = s.kinds[task["kind"]]
    p = task["pod"]
    s.run[0]["host_cpu"] += kind["host_cpu"]
    s.run[0]["ended"] += 1
    task["pod"] = NONE
    if kind["failure_share"] > 0.0 and _fails(s, kind["failure_share"]):
        _after_failure(s, i, now)
    else:
        task["done"] = now
        s.queues[kind["queue"]]["unacked"] -= 1
        broker.settle(s, i, DONE)
    broker.use_slots(s, p, -1, now)
    if s.pods[p]["phase"] == RUNNING:
        broker.line_up(s, p)
        broker.serve(s, s.pods[p]["worker_class"], now)
    elif s.pods[p]["used"] == 0:
        end(s, p, now)


def _fails(s: Flow, share: float) -> bool:
    chance = s.uniforms[s.run[0]["uniform"]]
    s.run[0]["uniform"] += 1
    return chance < share


def _after_failure(s: Flow, i: int, now: float) -> None:
    """Keep a failed task until it is tried again, or dead-letter it."""
    task = s.tasks[i]
    kind = s.kinds[task["kind"]]
    task["runs_failed"] += 1
    if task["runs_failed"] > kind["max_retries"]:
        s.queues[kind["queue"]]["unacked"] -= 1
        broker.settle(s, i, FAILED)
    else:
        task["event"] = events.plan(s, now + kind["retry_seconds"], RETRY_DUE, i)


def try_again(s: Flow, i: int, now: float) -> None:
    """Publish a failed task anew, once: where its queue is full it is dead-lettered."""
    s.queues[s.kinds[s.tasks[i]["kind"]]["queue"]]["unacked"] -= 1
    if broker.offer(s, i, now) != ACCEPTED:
        broker.settle(s, i, FAILED)


# --- pods ----------------------------------------------------------------------------------------------------------


def open_pod(s: Flow, p: int, c: int, created: float, first_item: int) -> None:
    """Make a row a new pod that has no place yet."""
    pod = s.pods[p]
    pod["worker_class"] = c
    pod["phase"] = PENDING
    pod["created"] = created
    pod["ready"] = 0
    pod["changed"] = created
    pod["used"] = 0
    pod["in_turn"] = 0
    pod["settled"] = created
    pod["clock"] = 0.0
    pod["last_tag"] = 0.0
    pod["working"] = 0
    pod["first_item"] = first_item
    pod["speed"] = 1.0
    pod["cpu_seconds"] = 0.0
    pod["shared_cpu"] = 0.0
    pod["turned"] = 0
    pod["rate"] = 0.0
    pod["cost"] = 1.0
    pod["beside_left"] = 0.0
    pod["start_wait"] = 0.0
    pod["probed_cpu"] = 0.0
    pod["cpu_event"] = NONE
    pod["life_event"] = NONE
    pod["grace_event"] = NONE
    pod["metric_at"] = math.nan
    pod["taken_at"] = math.nan
    pod["scraped_at"] = math.nan
    pod["scraped_cpu"] = 0.0


def begin(s: Flow, p: int, wait: float, now: float) -> None:
    """Have a node make a pod, whose worker needs the CPU `wait` after that; `cpu.share` carries the making on."""
    pod, made = s.pods[p], s.run[0]["pod_cpu"]
    pod["phase"] = STARTING
    pod["settled"] = now
    pod["speed"] = min(1.0, s.run[0]["level"])
    pod["start_wait"] = wait
    if s.run[0]["cores"] != INFINITY and made > 0.0:
        pod["beside_left"] = made
    else:
        pod["life_event"] = events.plan(s, now + made + wait, BOOT_WAITED, p)


def waited(s: Flow, p: int, now: float) -> None:
    """Go on with a pod's start: what is left needs the CPU."""
    work = s.classes[s.pods[p]["worker_class"]]["start_cpu"]
    if work > 0.0:
        cpu.enter(s, p, BOOT, work, now)
    else:
        take_tasks(s, p, now)


def take_tasks(s: Flow, p: int, now: float) -> None:
    """Have a pod's worker consume; the probe notices `ready_after` later."""
    pod = s.pods[p]
    pod["phase"] = RUNNING
    working = s.classes[pod["worker_class"]]
    after = working["ready_after"] - _probe_seconds(s, p)
    pod["life_event"] = events.plan(s, now + max(after, 0.0), PROBE_DUE, p)
    if working["warm_up_cpu"] > 0.0:
        cpu.enter(s, p, WARM_UP, working["warm_up_cpu"], now)
    broker.line_up(s, p)
    broker.serve(s, pod["worker_class"], now)


def probe_for_ready(s: Flow, p: int, now: float) -> None:
    """Begin the startup probe's attempt that finds the worker; `cpu.share` carries it on where cores are shared.

    Where nothing shares them it takes its own time and no more. Those before it are in what making a pod costs.
    """
    pod = s.pods[p]
    work = s.classes[pod["worker_class"]]["probe_cpu"]
    if s.run[0]["cores"] != INFINITY and work > 0.0:
        pod["beside_left"] = work
    else:
        pod["probed_cpu"] += work
        pod["life_event"] = events.plan(s, now + _probe_seconds(s, p), READY, p)


def _probe_seconds(s: Flow, p: int) -> float:
    """Return how long an attempt of a pod's startup probe takes that nothing else delays."""
    working = s.classes[s.pods[p]["worker_class"]]
    return working["probe_cpu"] / min(1.0, working["limit"])


def make_ready(s: Flow, p: int, now: float) -> None:
    """Note that a pod counts as ready."""
    s.pods[p]["ready"] = 1
    s.pods[p]["changed"] = now


def stop(s: Flow, p: int, now: float) -> None:
    """Tell a pod to go: it takes no more tasks and has its grace to finish those it has."""
    pod = s.pods[p]
    broker.step_out(s, p)
    if pod["ready"] == 1:
        pod["ready"] = 0
        pod["changed"] = now
    pod["life_event"] = NONE
    if pod["used"] == 0:
        end(s, p, now)
        return
    pod["phase"] = DRAINING
    pod["grace_event"] = events.plan(s, now + s.classes[pod["worker_class"]]["grace"], GRACE_END, p)


def kill(s: Flow, p: int, now: float) -> None:
    """End a pod whose grace is over; what it worked on goes back to the front of its queue, in its old order."""
    left = s.pods[p]["used"]
    cpu.settle(s, p, now)
    for i in range(len(s.tasks) - 1, -1, -1):
        if s.tasks[i]["pod"] == p and s.tasks[i]["state"] == OPEN:
            _redeliver(s, i)
    broker.use_slots(s, p, -left, now)
    c = s.pods[p]["worker_class"]
    end(s, p, now)
    broker.serve(s, c, now)


def _redeliver(s: Flow, i: int) -> None:
    task = s.tasks[i]
    q = s.kinds[task["kind"]]["queue"]
    task["event"] = NONE
    task["pod"] = NONE
    s.queues[q]["unacked"] -= 1
    s.run[0]["repeated"] += 1
    broker.put_back(s, q, i)


def end(s: Flow, p: int, now: float) -> None:
    """Free a pod's row."""
    cpu.settle(s, p, now)
    pod = s.pods[p]
    working = s.classes[pod["worker_class"]]
    working["cpu_seconds"] += cpu.used(s, p)
    working["pod_seconds"] += now - max(pod["created"], 0.0)
    cpu.forget(s, p)
    pod["phase"] = GONE
    pod["grace_event"] = NONE
    pod["life_event"] = NONE


def is_due(s: Flow, p: int, number: int, field: int) -> bool:
    """Tell whether an event of a pod still counts; `field` is the event's kind."""
    pod = s.pods[p]
    if field == GRACE_END:
        return pod["grace_event"] == number
    if field in (BOOT_WAITED, READY, PROBE_DUE):
        return pod["life_event"] == number
    return pod["cpu_event"] == number
