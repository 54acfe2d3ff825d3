"""Pricing a set of values: what a scenario, or a measured run, makes of the replicas, and what that costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.autoscaling import HpaSpec
from harness.errors import InputError
from harness.planning import planner
from harness.planning.candidates import pod_of
from harness.planning.case import Case
from harness.planning.coarse import STEP_SECONDS, TAIL_LIMIT_SECONDS
from harness.planning.figures import Figures
from harness.planning.place import Place
from harness.planning.planner import Offer, Rendered
from harness.planning.tail import tail
from harness.simulation import cost
from harness.simulation.cost import ClassUse, Cycle, NodeType, Pod, Prices, Steps, TaskUse
from harness.simulation.fluid_model import Model
from harness.simulation.fluid_plant import lay_out
from harness.simulation.model import WorkerClass
from harness.spike.arrivals import Arrival, LoadPlan, Topology, class_of, queue_of
from harness.spike.result import Result
from harness.spike.scenario import Scenario

SECONDS_A_SAMPLE = 1.0


@dataclass(frozen=True, kw_only=True)
class Priced:
    """One set of values, priced. `months` are in the order of the volumes asked for."""

    name: str
    cycle: Cycle
    by_class: tuple[cost.ClassCost, ...]
    by_task: tuple[cost.TaskCost, ...]
    months: tuple[cost.Month, ...]
    largest: int


def price(name: str, cycle: Cycle, prices: Prices, volumes: Sequence[int], node: NodeType | None) -> Priced:
    """Price a cycle. Raises InputError for a pod that is larger than the node."""
    try:
        rate, idle = cost.rate_by_requests(cycle, prices) if node is None else cost.rate_by_nodes(cycle, node)
    except ValueError as error:
        raise InputError(f"--node: {error}; name a larger node, or lower the class's requests") from error
    return Priced(
        name=name,
        cycle=cycle,
        by_class=cost.by_class(cycle, prices),
        by_task=cost.by_task(cycle, prices),
        months=tuple(cost.month(cycle, rate, idle, volume) for volume in volumes),
        largest=cost.largest_volume(cycle),
    )


def offer_on(scenario: Scenario, topologies: Sequence[Topology], topology: Topology) -> Offer:
    """Return a scenario's tasks as they go on a topology, laid out by the first of `topologies` that has its classes.

    So that several sets of values are priced for the same tasks, also where a scenario states its load by the classes
    of one of them. Raises the last InputError where none has them.
    """
    problem: InputError | None = None
    for reference in topologies:
        try:
            offer = planner.of_scenario(scenario, reference, run_id=scenario.name)
        except InputError as error:
            problem = error
            continue
        return replace(offer, plan=rerouted(offer.plan, topology))
    assert problem is not None
    raise problem


def rerouted(plan: LoadPlan, topology: Topology) -> LoadPlan:
    """Return the same tasks at the same times on another topology's queues."""
    queues = {name: queue_of(name, topology) for name in {one.task for one in plan.arrivals}}

    def moved(one: Arrival) -> Arrival:
        return replace(one, queue=queues[one.task], worker_class=class_of(queues[one.task], topology))

    return replace(plan, arrivals=tuple(moved(one) for one in plan.arrivals))


def foretold(offer: Offer, values: Rendered, model: Model, *, place: Place, figures: Figures) -> Cycle:
    """Return the cycle that the coarse model foretells. Raises InputError for what it does not know."""
    case = planner.case_of(offer, values.manifests, values.topology, place=place, figures=figures)
    limit = offer.limit_seconds + TAIL_LIMIT_SECONDS
    try:
        layout = lay_out(case.plant, case.offered.load, step_seconds=STEP_SECONDS, limit_seconds=limit)
        outcome = model.foretell(case.plant, layout, stop_when_quiet=True)
    except ValueError as error:
        raise InputError(f"{values.environment}: {error}") from error
    last = outcome.last_effect_seconds()
    if last is None:
        raise InputError(
            f"{values.environment}: {offer.name} is not worked off within {limit / 3600:.1f} h; it has no cost a month"
        )
    replicas = outcome.replicas()
    return Cycle(
        classes=tuple(_use(one, replicas[one.name]) for one in case.plant.classes),
        tasks=_tasks(case),
        offered=len(case.offered.plan.arrivals),
        busy_seconds=max(last, SECONDS_A_SAMPLE),
    )


def _use(worker: WorkerClass, replicas: Steps) -> ClassUse:
    least = worker.scaler.hpa.min_replicas if worker.scaler else worker.replicas
    if worker.scaler and worker.scaler.keda:
        least = worker.scaler.keda.min_replicas
    return ClassUse(name=worker.name, pod=pod_of(worker), minimum=least, replicas=replicas)


def _tasks(case: Case) -> tuple[TaskUse, ...]:
    counts = Counter(one.task for one in case.offered.plan.arrivals)
    first = {one.task: one for one in reversed(case.offered.plan.arrivals)}
    overheads = {one.name: one.overhead_seconds for one in case.plant.classes}
    cpu = {task.name: task.cpu_seconds for task in case.offered.load.tasks}
    return tuple(
        TaskUse(
            name=name,
            worker_class=first[name].worker_class,
            count=count,
            slot_seconds=count * (first[name].service_seconds + overheads[first[name].worker_class]),
            cpu_seconds=count * cpu[name],
        )
        for name, count in sorted(counts.items())
    )


# --- a measured run ------------------------------------------------------------------------------------------------


def cycle_of_run(result: Result, tails: Mapping[str, HpaSpec]) -> Cycle:
    """Return the cycle of a measured run: its replicas, and after its end what its autoscalers' rules say.

    `tails` are the autoscalers by Deployment; a class without one keeps its replicas. Raises InputError for a run whose
    classes or requests are not in its result.
    """
    classes: Mapping[str, Mapping[str, Any]] = result.setup.get("classes") or {}
    if not classes:
        raise InputError(f"run {result.run_id}: its result names no classes; run it again with this version")
    uses = [_measured(result, name, one, tails.get(str(one["deployment"]))) for name, one in classes.items()]
    return Cycle(
        classes=tuple(uses),
        tasks=_measured_tasks(result, classes),
        offered=max(result.counts.offered, 1),
        busy_seconds=max(result.last_due_seconds + (result.drain_seconds or result.duration_seconds), 1.0),
    )


def _measured(result: Result, name: str, one: Mapping[str, Any], spec: HpaSpec | None) -> ClassUse:
    cores, memory = one.get("cpu_request_cores"), one.get("memory_request_bytes")
    series = result.timeline.replicas.get(str(one["deployment"]), {}).get("running")
    if cores is None or memory is None or series is None:
        raise InputError(f"run {result.run_id}: class {name}: requests or replicas are not in its result")
    least = int(one.get("minimum") or 0)
    counts = [
        float(value or least) for second, value in zip(result.timeline.seconds, series, strict=True) if second >= 0
    ]
    steps = Steps.sampled(counts or [float(least)], every_seconds=SECONDS_A_SAMPLE)
    if spec is not None:
        steps = cost.with_tail(steps, tail(spec, int(steps.values[-1])))
    return ClassUse(name=name, pod=Pod(cores=cores, memory_gib=memory / cost.GIB), minimum=least, replicas=steps)


def _measured_tasks(result: Result, classes: Mapping[str, Mapping[str, Any]]) -> tuple[TaskUse, ...]:
    """Share by tasks done: a run's result has counts by queue, and no slot's time."""
    owner = {queue: name for name, one in classes.items() for queue in one.get("queues", [])}
    return tuple(
        TaskUse(name=queue, worker_class=owner[queue], count=int(row.get("offered") or 0),
                slot_seconds=float(row.get("offered") or 0), cpu_seconds=0.0)
        for queue, row in result.by_queue.items()
        if queue in owner
    )  # fmt: skip
