"""From counts of a real day to the list of tasks a plan offers. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from celery_workers.backoff import Backoff
from harness.errors import InputError
from harness.planning.planner import Offer
from harness.simulation import shapes
from harness.spike.arrivals import Arrival, LoadPlan, PhaseSpan, Topology, class_of, queue_of
from harness.spike.objectives import Objective
from harness.spike.scenario import ATTEMPT_CPU_SECONDS, ATTEMPTS_PER_SECOND, Publishing, Scenario, TaskMix

ALL_TASKS = ""
"""Stands for the mix's tasks by their shares, where a file counts them together."""
PHASE = "arrivals"
REST_SECONDS = 3600.0
"""How long after the last arrival a backlog may take to go."""
MOST_TASKS = 2_000_000
DEADLINE_SECONDS = 300.0
HOLD_SECONDS = 0.5
_NAMESPACE = uuid.UUID("0d6f5a3c-7e0b-4c55-9d55-52d4b5f5a7c1")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many tasks of a kind came in each stretch of `bucket_seconds`."""

    bucket_seconds: float
    by_task: Mapping[str, Sequence[float]]

    @property
    def seconds(self) -> float:
        """How long it all lasts."""
        return self.bucket_seconds * max(map(len, self.by_task.values()))


@dataclass(frozen=True, kw_only=True)
class Mix:
    """What tasks there are, how they are offered and what is demanded, without saying when they come."""

    name: str
    title: str
    tasks: Sequence[TaskMix]
    publishing: Publishing
    objectives: Sequence[Objective]
    seed: int


def mix_of(scenario: Scenario) -> Mix:
    """Return a scenario without its phases. Raises InputError for an objective about one of them."""
    for objective in scenario.objectives:
        if {"phase", "baseline"} & objective.parameters.keys():
            raise InputError(
                f"{scenario.label}: objective {objective.name} is about a phase, and --arrivals has none: "
                "copy the scenario without it"
            )
    return Mix(
        name=scenario.name,
        title=scenario.title,
        tasks=scenario.tasks,
        publishing=scenario.publisher,
        objectives=scenario.objectives,
        seed=scenario.seed,
    )


def mix_of_one(task: str, *, service_seconds: float, cpu_seconds: float) -> Mix:
    """Return a mix of one task, of which no task may be lost or refused for good."""
    mix = TaskMix(task=task, share=1.0, kwargs={}, service_seconds=service_seconds, cpu_seconds=cpu_seconds)
    return Mix(
        name=task,
        title=task,
        tasks=(mix,),
        publishing=Publishing(
            deadline_seconds=DEADLINE_SECONDS,
            connections=1,
            attempts_per_second=ATTEMPTS_PER_SECOND,
            hold_seconds=HOLD_SECONDS,
            cpu_seconds=ATTEMPT_CPU_SECONDS,
            backoff=Backoff(),
        ),
        objectives=tuple(Objective(name, {"max": 0}) for name in ("lost", "refused_finally", "expired")),
        seed=1,
    )


def offer_of(
    counts: Counts, mix: Mix, topology: Topology, *, source: str, run_id: str, seed: int | None = None
) -> Offer:
    """Return the offer that counts describe; within a stretch tasks come at chance times.

    Raises InputError for a task that the mix does not describe, a queue nobody works on, and for too many tasks.
    """
    tasks = {task.task: task for task in mix.tasks}
    unknown = sorted(name for name in counts.by_task if name not in tasks and name != ALL_TASKS)
    if unknown:
        raise InputError(f"{source}: no task {', '.join(unknown)} in {mix.name}; it has {', '.join(sorted(tasks))}")
    total = sum(map(sum, counts.by_task.values()))
    if total > MOST_TASKS:
        raise InputError(f"{source}: {total:,.0f} tasks, {MOST_TASKS:,} are the most that are planned task by task")
    chosen = mix.seed if seed is None else seed
    rng = np.random.default_rng(chosen)
    names = sorted(counts.by_task)
    streams = [shapes.counts(counts.by_task[name], period_seconds=counts.bucket_seconds, rng=rng) for name in names]
    dues, sources = shapes.merged(*streams)
    arrivals = _arrivals(dues.tolist(), [names[index] for index in sources], mix, topology, rng, run_id)
    return Offer(
        name=mix.name,
        title=f"{mix.title}, as counted in {source}",
        description="",
        plan=LoadPlan(run_id, arrivals, (PhaseSpan(PHASE, 0.0, counts.seconds, len(arrivals)),)),
        publishing=mix.publishing,
        objectives=mix.objectives,
        limit_seconds=counts.seconds + REST_SECONDS,
        seed=chosen,
    )


def _arrivals(
    dues: Sequence[float],
    names: Sequence[str],
    mix: Mix,
    topology: Topology,
    rng: np.random.Generator,
    run_id: str,
) -> tuple[Arrival, ...]:
    tasks = {task.task: task for task in mix.tasks}
    shares = np.array([task.share for task in mix.tasks])
    any_task = rng.choice(len(mix.tasks), len(dues), p=shares / shares.sum())
    queues = {task.task: queue_of(task.task, topology) for task in mix.tasks}
    classes = {queue: class_of(queue, topology) for queue in queues.values()}
    found = []
    for index, (due, name) in enumerate(zip(dues, names, strict=True)):
        task = tasks[name] if name != ALL_TASKS else mix.tasks[any_task[index]]
        queue = queues[task.task]
        found.append(
            Arrival(
                id=str(uuid.uuid5(_NAMESPACE, f"{run_id}/{index}")),
                due_seconds=due,
                task=task.task,
                phase=PHASE,
                kwargs=task.kwargs,
                queue=queue,
                worker_class=classes[queue],
                service_seconds=task.service_seconds,
                cpu_seconds=task.cpu_seconds,
            )
        )
    return tuple(found)
