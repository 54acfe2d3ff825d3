"""What holds a run back: each constraint is lifted alone, and the one whose absence helps most binds. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from harness.autoscaling import ResourceMetric
from harness.autoscaling.behavior import policy_text
from harness.planning import changed
from harness.planning.case import DRAIN, Case, Judgement, Simulate, badness, critical, judge
from harness.simulation.model import Load, Plant, Trace, WorkerClass
from harness.spike.objectives import Outcome
from harness.spike.words import seconds

LEAST_GAIN = 0.01
"""Below this share of the figure, lifting a constraint changed nothing worth a sentence."""
LIFTED_REPLICAS_FACTOR = 10
LIFTED_TARGET_SHARE = 0.05
LIFTED_CORES = 64.0
SOON_SECONDS = 0.1
WATCHED_SECONDS = 1.0
ENDLESS_RATE = 1e9


@dataclass(frozen=True)
class Lift:
    """A constraint, what the plant is without it, and how it is told. `key` names its kind."""

    key: str
    subject: str
    text: str
    plant: Plant


@dataclass(frozen=True)
class Constraint:
    """A constraint that counts: what the figure would be without it, and by which share that is better."""

    key: str
    subject: str
    text: str
    without: str
    gain: float


@dataclass(frozen=True)
class Binding:
    """What was looked at (an objective's title, its figure) and what holds it back, worst first; none: nothing does."""

    objective: str
    measured: str
    constraints: tuple[Constraint, ...]


def binding(case: Case, simulate: Simulate, *, base: Judgement | None = None) -> Binding:
    """Lift each constraint alone and say which one binds the objective that is worst off."""
    base = base or judge(case, simulate)
    at = critical(base.outcomes)
    if at is None:
        case = replace(case, objectives=(*case.objectives, DRAIN))
        at, base = len(case.objectives) - 1, judge(case, simulate)
    outcome = base.outcome(at)
    found = []
    for lift in lifts(case, base.trace):
        without = judge(case.on(lift.plant), simulate).outcome(at)
        gain = _gain(outcome, without)
        if gain >= LEAST_GAIN:
            found.append(Constraint(lift.key, lift.subject, lift.text, without.measured_words, gain))
    ordered = tuple(sorted(found, key=lambda one: -one.gain))
    return Binding(outcome.title, outcome.measured_words, ordered)


def _gain(before: Outcome, after: Outcome) -> float:
    was, now = badness(before), badness(after)
    if now == float("inf") or was == 0:
        return 0.0
    return 1.0 if was == float("inf") else (was - now) / was


# --- the constraints -----------------------------------------------------------------------------------------------


def lifts(case: Case, trace: Trace) -> Iterator[Lift]:
    """Yield every constraint of the case that can bind, told by what the trace shows."""
    plant, load = case.plant, case.offered.load
    used = {load.tasks[index].queue for index in np.unique(load.task)}
    for one in plant.classes:
        if used & set(one.queues):
            yield from _of_class(plant, one, load, trace)
    yield from _of_queues(plant, load, trace, used)
    yield from _of_machine(plant)


def _of_class(plant: Plant, one: WorkerClass, load: Load, trace: Trace) -> Iterator[Lift]:
    most = one.replicas if one.scaler is None else one.scaler.hpa.max_replicas
    yield Lift(
        "max-replicas",
        one.name,
        _maximum_text(one, most, trace),
        changed.maximum(plant, one.name, most * LIFTED_REPLICAS_FACTOR),
    )
    yield Lift("boot", one.name, _boot_text(one, trace), _without_boot(plant, one))
    unlimited = changed.with_class(plant, one.name, cpu_cores=LIFTED_CORES, cpu_limit_cores=None)
    yield Lift("cpu-limit", one.name, _cores_text(one), unlimited)
    if one.scaler is None:
        return
    yield Lift("policy", one.name, _policy_text(one, trace), changed.scale_up(plant, one.name, changed.FREE_SCALE_UP))
    yield Lift(
        "trigger",
        one.name,
        _trigger_text(one, load, trace),
        changed.targets(plant, one.name, LIFTED_TARGET_SHARE),
    )


def _of_queues(plant: Plant, load: Load, trace: Trace, used: set[str]) -> Iterator[Lift]:
    for queue in plant.queues:
        if queue.name in used and queue.max_length_messages is not None:
            text = _queue_text(queue.name, queue.max_length_messages, load, trace)
            unlimited = changed.with_queue(plant, queue.name, max_length_messages=None)
            yield Lift("queue-limit", queue.name, text, unlimited)


def _of_machine(plant: Plant) -> Iterator[Lift]:
    clock = plant.clockwork
    yield Lift(
        "sync",
        "",
        f"the autoscaler looks every {clock.controller.sync_seconds:g} s, first {seconds(clock.first_sync_seconds)} "
        "after the load began",
        _watched(plant),
    )
    pace = plant.publisher
    yield Lift(
        "publisher",
        "",
        f"the publisher makes {pace.attempts_per_second:,.0f} attempts a second and rests {seconds(pace.hold_seconds)} "
        "after a refusal",
        replace(plant, publisher=replace(pace, attempts_per_second=ENDLESS_RATE, hold_seconds=SOON_SECONDS)),
    )
    if plant.nodes.cores is not None:
        yield Lift(
            "machine",
            "",
            f"all share {plant.nodes.cores:g} cores",
            replace(plant, nodes=replace(plant.nodes, cores=None)),
        )
    if plant.nodes.rooms:
        yield Lift("nodes", "", "the nodes have no room for more pods", _without_rooms(plant))


def _without_boot(plant: Plant, one: WorkerClass) -> Plant:
    none = dict.fromkeys(
        (
            "start_seconds",
            "ready_seconds",
            "image_seconds",
            "start_cpu_seconds",
            "warm_up_cpu_seconds",
            "probe_cpu_seconds",
        ),
        0.0,
    )
    return changed.with_class(plant, one.name, **none)


def _watched(plant: Plant) -> Plant:
    """Return the plant with an autoscaler that looks every second, at figures of that second."""
    clock = plant.clockwork
    return replace(
        plant,
        clockwork=replace(
            clock,
            controller=replace(clock.controller, sync_seconds=WATCHED_SECONDS),
            first_sync_seconds=WATCHED_SECONDS,
            reconcile_seconds=0.0,
            statistics_seconds=WATCHED_SECONDS,
        ),
    )


def _without_rooms(plant: Plant) -> Plant:
    return replace(plant, nodes=replace(plant.nodes, rooms=()))


# --- how they are told ---------------------------------------------------------------------------------------------


def _ups(one: WorkerClass, trace: Trace) -> list[tuple[float, int, int]]:
    return [
        (step.t, step.before, step.after)
        for step in trace.steps
        if step.deployment == one.deployment and step.after > step.before
    ]


def _maximum_text(one: WorkerClass, most: int, trace: Trace) -> str:
    text = f"max {most} replica{'' if most == 1 else 's'} of {one.name}"
    reached = [at for at, _, after in _ups(one, trace) if after >= most]
    return f"{text}, asked for at {seconds(reached[0])}" if reached else text


def _policy_text(one: WorkerClass, trace: Trace) -> str:
    assert one.scaler is not None
    behavior, ups = one.scaler.hpa.behavior, _ups(one, trace)
    rules = (
        "the controller's own limit, twice the pods a sync"
        if behavior is None
        else "policy " + " or ".join(policy_text(policy, up=True) for policy in behavior.scale_up.policies)
    )
    if len(ups) > 1:
        at, before, _ = ups[1]
        return f"pod {before + 1} of {one.name} only asked for at {seconds(at)}: {rules}"
    if ups:
        at, _, after = ups[0]
        return f"no more than {after} pods of {one.name} asked for at {seconds(at)}: {rules}"
    return f"{one.name}: {rules}"


def _boot_text(one: WorkerClass, trace: Trace) -> str:
    text = f"boot {seconds(one.start_seconds + one.image_seconds)} of {one.name}"
    ups = _ups(one, trace)
    if not ups:
        return text
    at = ups[0][0]
    return (
        f"{text}: pods asked for at {seconds(at)} take tasks at {seconds(at + one.start_seconds + one.image_seconds)}"
    )


def _cores_text(one: WorkerClass) -> str:
    if one.pool in ("gevent", "threads", "solo") and one.cpu_cores >= 1:
        return f"one core a pod of {one.name}: {one.pool} workers share one interpreter"
    return f"CPU limit of {one.name}: {one.cpu_cores:g} cores a pod"


def _trigger_text(one: WorkerClass, load: Load, trace: Trace) -> str:
    assert one.scaler is not None
    share, fires = full_share(one, load), bool(_ups(one, trace))
    resources = [metric for metric in one.scaler.hpa.metrics if isinstance(metric, ResourceMetric)]
    percent = next((metric.target_percent for metric in resources if metric.name == "cpu"), None)
    if len(resources) == len(one.scaler.hpa.metrics) and share is not None and percent is not None:
        full = f"a full pod uses {share:.0%} of its request, {percent} % is the target"
        return f"CPU trigger of {one.name} {'fires late' if fires else 'does not fire'}: {full}"
    return f"targets of {one.name}, {_first_up(one, trace)}"


def _first_up(one: WorkerClass, trace: Trace) -> str:
    ups = _ups(one, trace)
    return f"first passed at {seconds(ups[0][0])}" if ups else "never passed"


def full_share(one: WorkerClass, load: Load) -> float | None:
    """Return the part of its CPU request that a pod with every slot busy uses; None where it requests nothing."""
    own = [index for index, task in enumerate(load.tasks) if task.queue in one.queues]
    counts = np.bincount(load.task, minlength=len(load.tasks))
    total = sum(int(counts[index]) for index in own)
    if not total or not one.cpu_request_milli:
        return None
    cpu = sum(counts[index] * load.tasks[index].cpu_seconds for index in own) / total
    held = sum(counts[index] * mean_seconds(load, index) for index in own) / total + cpu + one.overhead_seconds
    cores = min(one.slots * cpu / held, one.cpu_cores) + one.idle_cores
    return float(cores / (one.cpu_request_milli / 1000))


def mean_seconds(load: Load, index: int) -> float:
    """Return the mean service time of a kind of task."""
    service = load.tasks[index].service
    found = getattr(service, "mean_seconds", None)
    return float(np.mean(getattr(service, "seconds", 0.0))) if found is None else float(found)


def _queue_text(name: str, limit: int, load: Load, trace: Trace) -> str:
    offered = int(sum(np.count_nonzero(load.task == i) for i, task in enumerate(load.tasks) if task.queue == name))
    mine = np.array([load.tasks[index].queue == name for index in load.task], dtype=bool)
    refused = int(np.count_nonzero(trace.refusals[mine] > 0))
    if not refused:
        return f"limit {limit:,} of queue {name}"
    return f"limit {limit:,} of queue {name}, {offered:,} offered: {refused:,} were refused at first"
