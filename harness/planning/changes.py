"""The smallest change of one figure that would meet every objective, found by simulating it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from harness.autoscaling import Policy
from harness.planning import changed
from harness.planning.case import Case, Judgement, Simulate, judge
from harness.simulation.model import Load, Plant, WorkerClass

MOST_FACTOR = 10
"""How far a figure is raised in search of one that helps."""
STEP_PERCENT = 10
SHARED_SLOTS_POOLS = ("gevent", "threads")


@dataclass(frozen=True)
class Knob:
    """One figure that can be turned: `apply` gives the plant at a position, from 1 on; a higher one helps more.

    `told` says in words what that is, `relative` how large a change it is (2: twice as much).
    """

    key: str
    subject: str
    top: int
    apply: Callable[[int], Plant]
    told: Callable[[int], str]
    relative: Callable[[int], float]


@dataclass(frozen=True)
class Change:
    """A change that meets every objective; `replica_seconds` is what it runs, by class."""

    key: str
    subject: str
    text: str
    relative: float
    replica_seconds: Mapping[str, float]

    @property
    def pod_seconds(self) -> float:
        """All pods' time together."""
        return sum(self.replica_seconds.values())


def changes(case: Case, simulate: Simulate) -> tuple[Change, ...]:
    """Return the smallest sufficient position of each knob that has one, the smallest change first; of equal ones
    the one that runs fewer pods."""
    found = [change for knob in knobs(case) if (change := _smallest(case, knob, simulate)) is not None]
    return tuple(sorted(found, key=lambda one: (round(one.relative, 2), one.pod_seconds)))


def _smallest(case: Case, knob: Knob, simulate: Simulate) -> Change | None:
    """Bisect for the first position that meets everything; None where even the last does not."""

    def at(position: int) -> Judgement:
        return judge(case.on(knob.apply(position)), simulate)

    good, best = knob.top, at(knob.top)
    if not best.met:
        return None
    bad = 0
    while good - bad > 1:
        middle = (good + bad) // 2
        tried = at(middle)
        if tried.met:
            good, best = middle, tried
        else:
            bad = middle
    return Change(knob.key, knob.subject, knob.told(good), knob.relative(good), dict(best.trace.replica_seconds))


# --- the knobs -----------------------------------------------------------------------------------------------------


def knobs(case: Case) -> Iterator[Knob]:
    """Yield every figure worth turning: those of classes and queues that have work, then those of all classes."""
    plant, load = case.plant, case.offered.load
    used = {load.tasks[index].queue for index in np.unique(load.task)}
    busy = [one for one in plant.classes if used & set(one.queues)]
    for one in busy:
        yield from _of_class(plant, one)
    for queue in plant.queues:
        if queue.name in used and queue.max_length_messages:
            yield _limit(plant, queue.name, queue.max_length_messages, load)
    if len(busy) > 1:
        yield from _of_all(plant, busy)


def _of_class(plant: Plant, one: WorkerClass) -> Iterator[Knob]:
    name, most = one.name, _most(one)
    yield _raised(
        "max-replicas", one, most, lambda value: changed.maximum(plant, name, value), f"max replicas of {name}"
    )
    if one.scaler is not None:
        least = one.scaler.hpa.min_replicas
        yield _raised(
            "min-replicas", one, least, lambda value: changed.minimum(plant, name, value), f"min replicas of {name}"
        )
        yield from _policy(plant, one)
        yield _targets(plant, one)
    if one.pool in SHARED_SLOTS_POOLS:
        yield _raised(
            "concurrency",
            one,
            one.slots,
            lambda value: changed.with_class(plant, name, slots=value),
            f"concurrency of {name}",
        )


def _raised(key: str, one: WorkerClass, current: int, apply: Callable[[int], Plant], noun: str) -> Knob:
    """A whole number that grows; large ones in steps of a tenth."""
    step = max(current // STEP_PERCENT, 1)
    base = max(current, 1)

    def value(position: int) -> int:
        return current + position * step

    return Knob(
        key,
        one.name,
        base * (MOST_FACTOR - 1) // step,
        lambda position: apply(value(position)),
        lambda position: f"{noun} {current:,} -> {value(position):,}",
        lambda position: value(position) / base,
    )


def _policy(plant: Plant, one: WorkerClass) -> Iterator[Knob]:
    """More pods in a policy's period. Nothing where the controller's older path decides."""
    assert one.scaler is not None
    behavior = one.scaler.hpa.behavior
    pods = [policy for policy in behavior.scale_up.policies if policy.kind == "Pods"] if behavior else []
    if behavior is None or not pods:
        return
    first, rules = pods[0], behavior.scale_up

    def apply(value: int) -> Plant:
        raised = Policy("Pods", value, first.period_seconds)
        policies = tuple(raised if policy == first else policy for policy in rules.policies)
        return changed.scale_up(plant, one.name, replace(rules, policies=policies))

    yield _raised("policy", one, first.value, apply, f"pods of {one.name} added in {first.period_seconds} s")


def _targets(plant: Plant, one: WorkerClass) -> Knob:
    """Lower targets, in steps of a twentieth of what they are."""

    def share(position: int) -> float:
        return 1 - position * 0.05

    return Knob(
        "trigger",
        one.name,
        19,
        lambda position: changed.targets(plant, one.name, share(position)),
        lambda position: f"targets of {one.name} at {share(position):.0%} of what they are",
        lambda position: 1 / share(position),
    )


def _limit(plant: Plant, name: str, limit: int, load: Load) -> Knob:
    """A longer queue, at most one that holds all that is offered to it."""
    offered = sum(load.tasks[index].queue == name for index in load.task)
    step = max(limit // STEP_PERCENT, 1)

    def value(position: int) -> int:
        return limit + position * step

    return Knob(
        "queue-limit",
        name,
        max(-(-(offered - limit) // step), 1),
        lambda position: changed.with_queue(plant, name, max_length_messages=value(position)),
        lambda position: f"limit of queue {name} {limit:,} -> {value(position):,}",
        lambda position: value(position) / limit,
    )


def _of_all(plant: Plant, busy: list[WorkerClass]) -> Iterator[Knob]:
    """Several classes at once, by one factor: an objective over all of them is seldom met by one."""

    def factor(position: int) -> float:
        return 1 + position * STEP_PERCENT / 100

    def pods(number: int, position: int) -> int:
        return -(-number * (100 + position * STEP_PERCENT) // 100)

    def maxima(position: int) -> Plant:
        found = plant
        for one in busy:
            found = changed.maximum(found, one.name, pods(_most(one), position))
        return found

    def fast(position: int) -> Plant:
        found = maxima(position)
        for one in busy:
            found = changed.default_scale_up(found, one.name)
        return found

    def minima(position: int) -> Plant:
        found = maxima(position)
        for one in busy:
            found = changed.minimum(found, one.name, pods(_least(one), position))
        return found

    def told(numbers: Callable[[WorkerClass], int], position: int) -> str:
        return ", ".join(f"{one.name} {numbers(one)} -> {pods(numbers(one), position)}" for one in busy)

    top = (MOST_FACTOR - 1) * 100 // STEP_PERCENT
    yield Knob("all-max", "", top, maxima, lambda at: f"max replicas: {told(_most, at)}", factor)
    yield Knob(
        "all-max-fast", "", top, fast,
        lambda at: f"max replicas: {told(_most, at)}; Kubernetes' own scale-up policies (+4 pods or +100 % in 15 s)",
        lambda at: 1 + factor(at),
    )  # fmt: skip
    yield Knob(
        "all-min-max", "", top, minima,
        lambda at: f"min replicas: {told(_least, at)}; max replicas: {told(_most, at)}",
        lambda at: 2 * factor(at),
    )  # fmt: skip


def _most(one: WorkerClass) -> int:
    return one.replicas if one.scaler is None else one.scaler.hpa.max_replicas


def _least(one: WorkerClass) -> int:
    return one.replicas if one.scaler is None else one.scaler.hpa.min_replicas
