"""From a plant and a load to the arrays they happen in."""

from __future__ import annotations

import numpy as np

from celery_workers.backoff import Backoff
from harness.simulation.kernel import state
from harness.simulation.kernel.state import NONE, Flow
from harness.simulation.model import CostByRate, Load, Plant, WorkerClass
from harness.simulation.service import draw_all

MAX_HOLDS = 8  # harness.spike.gate: the hold doubles up to this many times its first length
FRESH_SHARE = 10.0 / 15.0  # metrics-server: a container younger than 10 s of its 15 s waits for the next sample
SHARE_SECONDS = 0.02  # some turns of a scheduler; what happens between two divisions goes on at the old speed
SWITCH_SECONDS = 0.005
"""A Python thread has the interpreter for so long before another one that wants it gets it (sys.getswitchinterval)."""
UNIFORMS, FIRST_ROWS = 65536, 1024

_OVERFLOWS = {
    "reject-publish": state.REJECT,
    "reject-publish-dlx": state.REJECT_AND_STORE,
    "drop-head": state.DROP_HEAD,
}


def build(plant: Plant, load: Load, rng: np.random.Generator) -> Flow:
    """Return everything as it stands at the start, without any pod."""
    run = np.zeros(1, state.RUN)
    queues = _queues(plant)
    levels = _levels(plant, load)
    gates, waiting = _gates(plant, load)
    flow = Flow(
        run=run,
        tasks=_tasks(load, rng),
        kinds=_kinds(plant, load, levels),
        queues=queues,
        lists=_empty_lists((len(queues), max(len(found) for found in levels.values()))),
        classes=_classes(plant, load),
        consumed=np.array(
            [_queue_index(plant, name) for each in plant.classes for name in each.queues], dtype=np.int64
        ),
        pods=np.zeros(0, state.POD),
        cpu_items=np.zeros(0, state.CPU_ITEM),
        publishers=_publishers(plant),
        gates=gates,
        waiting=waiting,
        ceilings=_ceilings(plant.publisher.backoff),
        events=np.zeros(FIRST_ROWS + 2 * max((each.slots for each in plant.classes), default=0), state.EVENT),
        uniforms=rng.random(UNIFORMS),
        refusals=np.zeros(FIRST_ROWS, state.REFUSAL),
        queue_samples=np.zeros((FIRST_ROWS, len(queues)), state.QUEUE_SAMPLE),
        class_samples=np.zeros((FIRST_ROWS, len(plant.classes)), state.CLASS_SAMPLE),
        host_samples=np.zeros(FIRST_ROWS),
    )
    _set_clocks(run, plant, load)
    return flow


def _set_clocks(run: state.Records, plant: Plant, load: Load) -> None:
    publishing, nodes, clockwork = plant.publisher, plant.nodes, plant.clockwork
    first, metrics = clockwork.first_sync_seconds, clockwork.metrics_resolution_seconds
    figures = {
        "pace": publishing.publishers / publishing.attempts_per_second,
        "confirm": publishing.confirm_seconds,
        "deadline": publishing.deadline_seconds,
        "hold": publishing.hold_seconds,
        "max_hold": publishing.hold_seconds * MAX_HOLDS,
        "jitter": publishing.backoff.jitter,
        "attempt_cpu": publishing.cpu_seconds,
        "cores": state.INFINITY if nodes.cores is None else nodes.cores,
        "shared": int(nodes.shared_with_load),
        "background": nodes.background_cores,
        "pod_cpu": nodes.pod_cpu_seconds,
        "pod_cores": nodes.pod_cores,
        "share_seconds": SHARE_SECONDS,
        **_cost_by_rate(nodes.load_cost),
        "statistics_seconds": clockwork.statistics_seconds,
        "metrics_seconds": metrics,
        "fresh_seconds": FRESH_SHARE * metrics,
        "max_slots": max((each.slots for each in plant.classes), default=0),
        "open": len(load.due_seconds),
        "slowness": 1.0,
        "cost": 1.0,
        "level": 1.0,
        # What a sync sees is half a period old, as it is on average between clocks that know nothing of each other.
        "statistics_at": _first(first - clockwork.statistics_seconds / 2, clockwork.statistics_seconds),
        "metrics_at": _first(first - metrics / 2 - clockwork.metrics_age_seconds, metrics),
        "shown_at": _first(first - metrics / 2, metrics),
        "share_at": SHARE_SECONDS if nodes.cores is not None or _costs_by_rate(plant) else state.INFINITY,
    }
    for name, value in figures.items():
        run[0][name] = value


def _costs_by_rate(plant: Plant) -> bool:
    return any(each.message_cost is not None for each in plant.classes)


def _first(planned: float, period: float) -> float:
    """Return the first time not before the start of the load of a clock that ticks at `planned`."""
    return planned % period


def _tasks(load: Load, rng: np.random.Generator) -> state.Records:
    tasks = np.zeros(len(load.due_seconds), state.TASK)
    tasks["due"], tasks["kind"], tasks["service"] = load.due_seconds, load.task, draw_all(load, rng)
    for name in ("first_attempt", "accepted", "offered", "published", "started", "done"):
        tasks[name] = np.nan
    for name in ("after", "answer_after", "pod", "event"):
        tasks[name] = NONE
    return tasks


def _queue_index(plant: Plant, name: str) -> int:
    return next(index for index, queue in enumerate(plant.queues) if queue.name == name)


def _levels(plant: Plant, load: Load) -> dict[str, list[int]]:
    """Return each queue's priorities in use, the highest first; one without priorities has one level."""
    return {
        queue.name: sorted({task.priority for task in load.tasks if task.queue == queue.name} or {0}, reverse=True)
        if queue.priorities
        else [0]
        for queue in plant.queues
    }


def _kinds(plant: Plant, load: Load, levels: dict[str, list[int]]) -> state.Records:
    kinds = np.zeros(len(load.tasks), state.KIND)
    for row, task in zip(kinds, load.tasks, strict=True):
        queue = _queue_index(plant, task.queue)
        row["queue"] = queue
        row["level"] = levels[task.queue].index(task.priority) if plant.queues[queue].priorities else 0
        row["cpu"], row["host_cpu"] = task.cpu_seconds, task.host_cpu_seconds
        row["failure_share"], row["max_retries"] = task.failure_share, task.max_retries
        row["retry_seconds"] = task.retry_seconds
    return kinds


def _queues(plant: Plant) -> state.Records:
    queues = np.zeros(len(plant.queues), state.QUEUE)
    owners = {name: index for index, each in enumerate(plant.classes) for name in each.queues}
    for row, queue in zip(queues, plant.queues, strict=True):
        row["limit"] = NONE if queue.max_length_messages is None else queue.max_length_messages
        row["overflow"] = _OVERFLOWS[queue.overflow]
        row["ttl"] = state.INFINITY if queue.ttl_seconds is None else queue.ttl_seconds
        row["worker_class"] = owners.get(queue.name, NONE)
    return queues


def _empty_lists(shape: tuple[int, int]) -> state.Records:
    lists = np.zeros(shape, state.LIST)
    lists["head"] = lists["tail"] = NONE
    return lists


def _classes(plant: Plant, load: Load) -> state.Records:
    classes = np.zeros(len(plant.classes), state.CLASS)
    first_queue = 0
    for row, each in zip(classes, plant.classes, strict=True):
        for name, value in _class_figures(each).items():
            row[name] = value
        row["in_turn"] = _takes_turns(each, load)
        row["first_queue"], row["queues"] = first_queue, len(each.queues)
        first_queue += len(each.queues)
    return classes


def _takes_turns(each: WorkerClass, load: Load) -> bool:
    """Tell whether one task at a time has a pod's CPU: greenlets until they wait, and threads that soon do."""
    if each.pool != "threads":
        return each.pool in ("gevent", "solo")
    return all(task.cpu_seconds <= SWITCH_SECONDS for task in load.tasks if task.queue in each.queues)


def _class_figures(each: WorkerClass) -> dict[str, float]:
    return {
        "slots": each.slots,
        "cores": each.cpu_cores,
        "weight": each.cpu_weight or 0.0,
        "threads": each.cpu_cores if each.pool == "prefork" else 1.0,
        "overhead": each.overhead_seconds,
        "idle_cores": each.idle_cores,
        "memory": each.memory_bytes,
        "memory_per_task": each.memory_bytes_per_task,
        "message_cpu": each.message_cpu_seconds if each.message_cost else 0.0,
        **_cost_by_rate(each.message_cost),
        "start_cpu": each.start_cpu_seconds,
        "warm_up_cpu": each.warm_up_cpu_seconds,
        "probe_cpu": each.probe_cpu_seconds,
        "limit": state.INFINITY if each.cpu_limit_cores is None else each.cpu_limit_cores,
        "ready_after": max(each.ready_seconds - each.start_seconds, 0.0),
        "grace": each.grace_seconds,
        "desired": each.replicas,
        "free_head": NONE,
        "free_tail": NONE,
    }


def _cost_by_rate(law: CostByRate | None) -> dict[str, float]:
    if law is None:
        return {"cost_rate": 1.0, "cost_exponent": 0.0, "cost_below": 0.0, "cost_least": 1.0, "cost_most": 1.0}
    return {
        "cost_rate": law.per_second,
        "cost_exponent": law.exponent,
        "cost_below": law.below_exponent,
        "cost_least": law.least_per_second,
        "cost_most": law.most_per_second,
    }


def _publishers(plant: Plant) -> state.Records:
    publishers = np.zeros(plant.publisher.publishers, state.PUBLISHER)
    publishers["next_first"] = np.arange(len(publishers))
    publishers["answer_head"] = publishers["answer_tail"] = NONE
    return publishers


def _gates(plant: Plant, load: Load) -> tuple[state.Records, state.Records]:
    """Return a gate for each publisher and queue, and room for all tasks of each to wait."""
    shape = (plant.publisher.publishers, len(plant.queues))
    gates = np.zeros(shape, state.GATE)
    gates["hold"] = plant.publisher.hold_seconds
    queue_of = np.array([_queue_index(plant, task.queue) for task in load.tasks], dtype=np.int64)
    first = 0
    for w in range(shape[0]):
        for q, count in enumerate(np.bincount(queue_of[load.task[w :: shape[0]]], minlength=shape[1])):
            gates[w, q]["first_waiting"] = first
            first += count
    return gates, np.zeros(first, state.WAITING)


def _ceilings(backoff: Backoff) -> np.ndarray:
    """Return the longest delays up to the attempt from which they grow no more."""
    ceilings = [backoff.ceiling_seconds(1)]
    while ceilings[-1] < backoff.max_seconds and len(ceilings) < FIRST_ROWS:
        ceilings.append(backoff.ceiling_seconds(len(ceilings) + 1))
    return np.array(ceilings)
