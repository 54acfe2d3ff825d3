"""What the simulator says of plants that queueing theory can solve: `python -m tests.theory`, or `make theory`.

Each row is simulated in independent runs; the mean of the runs' means has a 99 % confidence interval by Student's t,
and the theory's figure must lie in it. The beginning of each run, when nobody waits yet, is left out. Exits 1 when a
row's does not. One row of a hundred may miss by chance: the seed is fixed, so that it is not another one each time.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from celery_workers.backoff import Backoff
from harness.simulation import (
    REFUSED,
    Exponential,
    Fixed,
    Load,
    Lognormal,
    Plant,
    Publisher,
    Queue,
    Service,
    Task,
    Trace,
    WorkerClass,
    shapes,
    simulate,
    theory,
)

CONFIDENCE = 0.99
WARM_UP_SHARE = 0.25

Figures = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A model, what theory says of it, and a plant whose traces show the same figure."""

    model: str
    utilisation: float
    predicted: float
    plant: Plant
    task: Task
    rate: float
    figure: Callable[[Trace], Figures]  # of each task; its mean is what is predicted
    events: bool = False  # by events although there is a shorter way
    tasks: int = 50_000


@dataclass(frozen=True)
class Result:
    """A row's simulated mean, and half the width of its confidence interval."""

    row: Row
    mean: float
    margin: float

    @property
    def within(self) -> bool:
        """Whether the theory's figure lies in the interval."""
        return abs(self.mean - self.row.predicted) <= self.margin


def waits(trace: Trace) -> Figures:
    """How long each task waited for a slot."""
    return trace.started - trace.first_attempt


def stays(trace: Trace) -> Figures:
    """How long each task took in all."""
    return trace.done - trace.first_attempt


def refusals(trace: Trace) -> Figures:
    """1 for each task that was refused."""
    return (trace.state == REFUSED).astype(np.float64)


def rows() -> Iterator[Row]:
    """Return the models."""
    yield waiting("M/M/1", Exponential(1), 1, 0.5, theory.mmc_wait_seconds(0.5, 1, 1))
    yield waiting("M/M/5", Exponential(2), 5, 0.8, theory.mmc_wait_seconds(2, 2, 5))
    yield waiting("M/M/5, by events", Exponential(2), 5, 0.8, theory.mmc_wait_seconds(2, 2, 5), events=True)
    yield waiting("M/M/200", Exponential(1), 200, 0.95, theory.mmc_wait_seconds(190, 1, 200))
    yield waiting("M/D/1", Fixed(1), 1, 0.8, theory.mg1_wait_seconds(0.8, 1, 0))
    yield waiting("M/D/5", Fixed(1), 5, 0.9, theory.mdc_wait_seconds(4.5, 1, 5))
    yield waiting("M/D/20, by events", Fixed(1), 20, 0.9, theory.mdc_wait_seconds(18, 1, 20), events=True)
    yield waiting("M/G/1, lognormal", Lognormal(1, 1.2), 1, 0.6, theory.mg1_wait_seconds(0.6, 1, 1.2))
    yield refusing(servers=3, room=2, rate=2.5)
    yield refusing(servers=10, room=1, rate=9.0)
    yield computing("M/D/1 on a pod's CPU: gevent", "gevent", 0.7, 1 + theory.mg1_wait_seconds(0.7, 1, 0))
    yield computing("M/G/1-PS on a pod's CPU: threads", "threads", 0.7, theory.processor_sharing_stay_seconds(0.7, 1))


def waiting(
    model: str, service: Service, servers: int, utilisation: float, predicted: float, *, events: bool = False
) -> Row:
    """A row about the mean wait; the servers are one pod's slots."""
    mean = service.seconds if isinstance(service, Fixed) else service.mean_seconds
    return Row(
        model=model,
        utilisation=utilisation,
        predicted=predicted,
        plant=_plant(slots=servers),
        task=_task(service),
        rate=utilisation * servers / mean,
        figure=waits,
        events=events,
    )


def refusing(*, servers: int, room: int, rate: float) -> Row:
    """A row about the share that a full queue refuses; nobody offers twice."""
    plant = _plant(slots=servers)
    return Row(
        model=f"M/M/{servers}/{servers + room}, share refused",
        utilisation=rate / servers,
        predicted=theory.mmck_refused_share(rate, 1.0, servers, room),
        plant=replace(plant, queues=(Queue(name="q", max_length_messages=room),)),
        task=_task(Exponential(1)),
        rate=rate,
        figure=refusals,
    )


def computing(model: str, pool: str, utilisation: float, predicted: float) -> Row:
    """A row about the mean stay of tasks that only compute, on a pod with slots for all."""
    return Row(
        model=f"{model}, stay",
        utilisation=utilisation,
        predicted=predicted,
        plant=_plant(slots=1000, pool=pool),
        task=replace(_task(Fixed(0)), cpu_seconds=1.0),
        rate=utilisation,
        figure=stays,
        tasks=20_000,
    )


def _plant(*, slots: int, pool: str = "gevent") -> Plant:
    offers = Publisher(deadline_seconds=0.0, attempts_per_second=1e9, hold_seconds=0.5, backoff=Backoff())
    pods = WorkerClass(name="w", deployment="w", pool=pool, slots=slots, queues=("q",), replicas=1)
    return Plant(classes=(pods,), queues=(Queue(name="q"),), publisher=offers)


def _task(service: Service) -> Task:
    return Task(name="t", queue="q", service=service)


def measure(row: Row, *, runs: int, tasks: int, seed: int) -> Result:
    """Simulate a row in so many independent runs."""
    children = np.random.SeedSequence(seed).spawn(runs)
    means = [_mean(row, tasks, np.random.default_rng(child)) for child in children]
    error = statistics.stdev(means) / math.sqrt(runs)
    return Result(row, statistics.fmean(means), student_t(CONFIDENCE, runs - 1) * error)


def _mean(row: Row, tasks: int, rng: np.random.Generator) -> float:
    due = shapes.poisson(row.rate, tasks / row.rate, rng)
    load = Load(tasks=(row.task,), due_seconds=due, task=np.zeros(len(due), np.int32))
    trace = simulate(row.plant, load, rng=rng, limit_seconds=1e9, events=row.events)
    return float(row.figure(trace)[int(WARM_UP_SHARE * len(due)) :].mean())


def student_t(confidence: float, degrees: int) -> float:
    """Return the two-sided quantile of Student's t, by Fisher's expansion (to 1e-3 from 15 degrees of freedom on)."""
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


@click.command()
@click.option("--runs", default=30, show_default=True, type=click.IntRange(15), help="Independent runs of each model.")
@click.option("--seed", default=1, show_default=True, help="Seed of all of them.")
def main(runs: int, seed: int) -> None:
    """Print the table; exit 1 when a figure of the theory lies outside."""
    results = [measure(row, runs=runs, tasks=row.tasks, seed=seed) for row in rows()]
    table = Table(title=f"Queueing theory and simulation, {runs} runs each")
    for column in ("model", "load", "theory", "simulated", "99 % interval", "within"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for result in results:
        row = result.row
        interval = f"{result.mean - result.margin:.4f} to {result.mean + result.margin:.4f}"
        within = "yes" if result.within else "NO"
        table.add_row(
            row.model, f"{row.utilisation:.2f}", f"{row.predicted:.4f}", f"{result.mean:.4f}", interval, within
        )
    Console().print(table)
    sys.exit(0 if all(result.within for result in results) else 1)


if __name__ == "__main__":
    main()
