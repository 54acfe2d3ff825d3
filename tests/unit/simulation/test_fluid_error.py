"""The coarse model beside the simulation of each task, on random plants with cores of their own."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import numpy as np

from harness.simulation import simulate
from harness.simulation.fluid_model import compiled
from harness.simulation.fluid_plant import lay_out
from harness.simulation.model import DONE, Load, Lognormal, Nodes, Plant, Queue, Task
from tests.unit.simulation.fluid_plants import load, plant, scaler, worker

PLANTS = 40
LIMIT_SECONDS = 900.0
STEP_SECONDS = 1.0


@dataclass(frozen=True)
class Apart:
    """How far the coarse model is from the other: ratios minus 1, and seconds."""

    drain: float
    p95: float
    peak: float
    pod_seconds: float
    same_steps: bool


def random_case(rng: np.random.Generator) -> tuple[Plant, Load]:
    """Return one class and a spike on a steady stream that its maximum can work off."""
    slots, seconds = int(rng.integers(4, 200)), float(rng.uniform(0.5, 15.0))
    high = int(rng.integers(2, 10))
    capacity = slots / seconds  # tasks a second and pod
    given = worker(
        slots=slots,
        scaler=scaler(depth=slots, high=high, latency=30 if rng.random() < 0.5 else None),
        start_seconds=float(rng.uniform(2, 20)),
        ready_seconds=float(rng.uniform(2, 20)),
        overhead_seconds=0.02,
    )
    steady = np.sort(rng.uniform(0, 180, int(0.5 * capacity * 180)))
    burst = np.sort(rng.uniform(30, 90, int(rng.uniform(1, high) * 0.8 * capacity * 60)))
    service = Lognormal(seconds, 0.5)
    calm, spike = (Task(name=name, queue="io", service=service, cpu_seconds=0.001) for name in ("calm", "spike"))
    limit = None if rng.random() < 0.5 else int(slots * high * 4)
    made = plant(given, queues=[Queue(name="io", max_length_messages=limit)])
    return Plant(
        classes=made.classes, queues=made.queues, publisher=made.publisher,
        nodes=Nodes(cores=None, shared_with_load=False), clockwork=made.clockwork,
    ), load((calm, steady.tolist()), (spike, burst.tolist()))  # fmt: skip


def apart(seed: int) -> Apart:
    """Return how far the two are from each other on one random plant."""
    given, offered = random_case(np.random.default_rng(seed))
    trace = simulate(given, offered, rng=np.random.default_rng(seed), limit_seconds=LIMIT_SECONDS)
    assert (trace.state == DONE).all()
    coarse = compiled().foretell(given, lay_out(given, offered, step_seconds=STEP_SECONDS, limit_seconds=LIMIT_SECONDS))
    took = trace.done - trace.first_attempt
    last_due = float(offered.due_seconds[-1])
    end = float(trace.done.max())
    pods = float((coarse.curves.pools["replicas"][: int(end)]).sum()) * STEP_SECONDS
    steps = [step.after for step in trace.steps if step.t <= end]
    replicas = [int(value) for value in coarse.replicas()["io"].values[1:]]
    peak = float(trace.ready["io"].max())
    return Apart(
        drain=(last_due + (coarse.drain_seconds() or np.inf)) / end - 1.0,
        p95=coarse.times().percentile(95) / float(np.percentile(took, 95)) - 1.0,
        peak=coarse.peak_messages()["io"] / peak - 1.0 if peak > 50 else 0.0,
        pod_seconds=pods / trace.replica_seconds["io"] - 1.0,
        same_steps=replicas[: len(steps)] == steps,
    )


def test_the_typical_error_is_small():
    found = [apart(seed) for seed in range(PLANTS)]
    middle = {
        name: median(abs(getattr(one, name)) for one in found) for name in ("drain", "p95", "peak", "pod_seconds")
    }
    assert middle["drain"] < 0.05, middle
    assert middle["p95"] < 0.10, middle
    assert middle["peak"] < 0.10, middle
    assert middle["pod_seconds"] < 0.10, middle
