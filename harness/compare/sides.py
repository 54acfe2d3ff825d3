"""The two sides of a comparison: their values, and what the same budget buys each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.chart import render, yaml_strict
from harness.compare.budget import Budget, Worker, pods_within, requested, slots, smallest
from harness.compare.summary import Bought
from harness.errors import InputError
from harness.simulation.cost import GIB, Pod
from harness.spike import arrivals, facts
from harness.spike.arrivals import Topology
from harness.spike.scenario import Scenario


@dataclass(frozen=True, kw_only=True)
class Side:
    """One set of values. `bought` is what the budget buys of it, `overlay` the values that hold it to that."""

    name: str
    bought: Bought
    overlay: Mapping[str, Any]


def budget_of(environment: str) -> Budget:
    """Return the smallest budget a set can work with: what its minimum requests. Raises InputError."""
    return smallest(_workers(environment, ()))


def side(name: str, environment: str, *, budget: Budget, scenarios: Sequence[Scenario]) -> Side:
    """Return one side within the budget. Raises InputError where its minimum does not fit.

    What is bought is reckoned from the environment alone, so that it is the same wherever the runs are made: an overlay
    of the place, such as kind's, divides what both sides request by one factor.
    """
    workers = _workers(environment, scenarios)
    try:
        pods = pods_within(workers, budget)
    except ValueError as error:
        raise InputError(f"--budget: {environment}: {error}; give more, or lower the requests") from error
    return Side(
        name=name,
        bought=Bought(
            environment=environment, pods=pods, requested=requested(workers, pods), slots=slots(workers, pods)
        ),
        overlay={"workers": {worker: {"replicas": {"max": count}} for worker, count in pods.items()}},
    )


def write_overlay(side: Side, path: Path) -> None:
    """Write the values that hold a side to the budget. Raises OSError."""
    path.write_text(yaml_strict.dump_all([side.overlay]))


def _workers(environment: str, scenarios: Sequence[Scenario]) -> list[Worker]:
    manifests = render.render(render.environment_files(environment))
    topology = render.topology(manifests)
    work = _work(scenarios, topology)
    return [_worker(name, one, work[name], environment) for name, one in facts.classes_of(manifests, topology).items()]


def _worker(name: str, one: Mapping[str, Any], work_seconds: float, environment: str) -> Worker:
    cores, memory = one["cpu_request_cores"], one["memory_request_bytes"]
    if cores is None or memory is None:
        raise InputError(
            f"{environment}: class {name} requests no CPU or no memory, so no budget can hold it; "
            f"set workers.{name}.resources.requests"
        )
    return Worker(
        name=name,
        pod=Pod(cores=cores, memory_gib=memory / GIB),
        minimum=one["minimum"],
        maximum=one["maximum"],
        concurrency=one["concurrency"],
        work_seconds=work_seconds,
    )


def _work(scenarios: Sequence[Scenario], topology: Topology) -> dict[str, float]:
    """Return the slot-seconds that the scenarios offer to each class."""
    found = dict.fromkeys(topology["classes"], 0.0)
    for scenario in scenarios:
        for one in arrivals.plan(scenario, topology, run_id=scenario.name).arrivals:
            found[one.worker_class] += one.service_seconds
    return found
