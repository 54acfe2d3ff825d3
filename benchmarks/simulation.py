"""How fast the simulator is: `python -m benchmarks.simulation`.

Everything is compiled before it is measured; the time of compiling is measured apart, in a process with an empty
cache. Beside it runs a loop of plain Python over `heapq`, the shortest first-come-first-served simulation there is, in
the same process on the same tasks. Each is measured several times in turns and the fastest counts: a busy machine only
ever adds. Exits 1 when a ratio is below its limit.
"""

from __future__ import annotations

import heapq
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run
from celery_workers.backoff import Backoff
from harness.autoscaling import HpaSpec, Observation, PodSample, ScaledObject, State, decide, hpa_from_scaled_object
from harness.simulation import (
    Fixed,
    Load,
    Lognormal,
    Nodes,
    Plant,
    Publisher,
    Queue,
    Scaler,
    Service,
    Task,
    WorkerClass,
    shapes,
    simulate,
)
from harness.simulation.hpa_days import decide_day

SLOTS, PODS, RATE = 200, 5, 400.0
TASKS = 2_000_000
DAY_TASKS, DAY_SECONDS, DAY_SYNCS, DAY_PODS = 1_000_000, 86_400.0, 5_760, 2_000
FIFO_RATIO = 1.0
"""How many times as fast as the loop over heapq a whole simulation must be, trace and samples included."""
DAY_RATIO = 100.0
"""How many times as fast as the readable core a day of decisions pod by pod must be."""


def fifo(service: Service) -> tuple[Plant, Load]:
    """Return a class without an autoscaler and a load that it can just hold."""
    due = np.arange(TASKS) / RATE
    return _plant(scaler=None, limit=None), _load(due, service)


def campaign() -> tuple[Plant, Load]:
    """Return the e-mail campaign: 10,000 at once into a queue of 5,000, one pod that becomes several."""
    return _plant(scaler=_scaler(), limit=5_000, cores=2.0), _load(shapes.burst(10_000), Fixed(2.0), cpu_seconds=0.0013)


def day() -> tuple[Plant, Load]:
    """Return a day with a morning and an evening peak."""
    hours = 1.0 + np.sin(np.arange(1440) / 1440 * 4 * np.pi) * 0.9
    due = shapes.counts((hours * DAY_TASKS / hours.sum()).tolist(), rng=np.random.default_rng(1))
    return _plant(scaler=_scaler(), limit=5_000, slots=10), _load(due, Lognormal(2.0, 0.5), cpu_seconds=0.0013)


def _plant(*, scaler: Scaler | None, limit: int | None, slots: int = SLOTS, cores: float | None = None) -> Plant:
    pods = WorkerClass(
        name="io",
        deployment="io",
        pool="gevent",
        slots=slots,
        queues=("io",),
        replicas=PODS if scaler is None else 1,
        scaler=scaler,
        start_seconds=2.5,
        start_cpu_seconds=1.6,
        ready_seconds=3.0,
        cpu_request_milli=200,
        memory_request_milli=2**31 * 1000,
    )
    offers = Publisher(deadline_seconds=300.0, attempts_per_second=900.0, hold_seconds=0.5, backoff=Backoff())
    queues = (Queue(name="io", max_length_messages=limit),)
    return Plant(classes=(pods,), queues=queues, publisher=offers, nodes=Nodes(cores=cores))


def _scaler() -> Scaler:
    trigger = {"protocol": "http", "mode": "QueueLength", "value": "20", "queueName": "io"}
    manifest = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "io"},
        "spec": {
            "scaleTargetRef": {"name": "io"},
            "minReplicaCount": 1,
            "maxReplicaCount": PODS,
            "triggers": [{"type": "rabbitmq", "metadata": trigger}],
        },
    }
    return Scaler(
        hpa=HpaSpec.from_manifest(hpa_from_scaled_object(manifest)), keda=ScaledObject.from_manifest(manifest)
    )


def _load(due: np.ndarray, service: Service, **task: float) -> Load:
    return Load(
        tasks=(Task(name="t", queue="io", service=service, **task),),
        due_seconds=due,
        task=np.zeros(len(due), np.int32),
    )


def heapq_loop(due: list[float], service: list[float]) -> float:
    """Serve tasks first come, first served, in plain Python; return when the last is done."""
    free = [0.0] * (SLOTS * PODS)
    end = 0.0
    for at, seconds in zip(due, service, strict=True):
        end = max(at, free[0]) + seconds
        heapq.heapreplace(free, end)
    return end


def simulation(case: tuple[Plant, Load], *, events: bool = False) -> Callable[[], object]:
    """Return what simulates a case once."""
    plant, load = case
    return lambda: simulate(plant, load, rng=np.random.default_rng(1), limit_seconds=DAY_SECONDS, events=events)


def hpa_day(*, by_pod: bool) -> Callable[[], object]:
    """Return what decides a day on up to 2,000 pods."""
    wave = 1.0 + 0.9 * np.sin(np.arange(DAY_SYNCS) / DAY_SYNCS * 4 * np.pi)
    demand = (wave * DAY_PODS * 50).astype(np.int64)
    spec = _cpu_spec()
    return lambda: decide_day(spec, demand, request_milli=200, limit_milli=1000, boot_seconds=20.0, by_pod=by_pod)


def _cpu_spec() -> HpaSpec:
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
    }
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "io"},
        "minReplicas": DAY_PODS // 2,
        "maxReplicas": DAY_PODS,
        "metrics": [metric],
        "behavior": {"scaleUp": {}, "scaleDown": {}},
    }
    name = {"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2", "metadata": {"name": "io"}, "spec": spec}
    return HpaSpec.from_manifest(name)


def readable_sync() -> Callable[[], object]:
    """Return what decides one sync on 2,000 pods by the readable core."""
    spec = _cpu_spec()
    pods = tuple(
        PodSample(
            name=str(index),
            start_time_seconds=0.0,
            last_transition_seconds=20.0,
            requests_milli={"cpu": 200},
            usage_milli={"cpu": 100},
            metric_timestamp_seconds=9_990.0,
        )
        for index in range(DAY_PODS)
    )
    seen = Observation(spec_replicas=DAY_PODS, status_replicas=DAY_PODS, pods=pods)
    return lambda: decide(spec, State(), seen, now_seconds=10_000.0)


def fastest(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the fewest seconds each of several works took, done in turns, after a first time that compiles."""
    for work in works.values():
        work()
    seconds = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    return seconds


def first_use_seconds() -> tuple[float, float]:
    """Return what the first campaign of a process takes with an empty cache, and with a filled one."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "benchmarks.simulation", "--alone"]
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        runs = (
            subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=600)
            for _ in range(2)
        )
        empty, filled = (float(done.stdout) for done in runs)
    return empty, filled


@click.command()
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often each is measured.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--alone", is_flag=True, hidden=True)
def main(rounds: int, as_json: bool, alone: bool) -> None:
    """Measure and print; exit 1 when a ratio is below its limit."""
    if alone:
        started = time.perf_counter()
        simulation(campaign())()
        click.echo(time.perf_counter() - started)
        return
    result = measure(rounds)
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        Console().print(_table(result))
    sys.exit(0 if result["fifo_ratio"] >= FIFO_RATIO and result["day_ratio"] >= DAY_RATIO else 1)


def measure(rounds: int) -> dict[str, float]:
    """Return every figure: seconds, tasks a second and ratios."""
    equal, drawn = fifo(Fixed(2.0)), fifo(Lognormal(2.0, 0.5))
    due, service = equal[1].due_seconds.tolist(), [2.0] * TASKS
    works: dict[str, Callable[[], object]] = {
        "heapq": lambda: heapq_loop(due, service),
        "fifo": simulation(equal),
        "fifo_drawn": simulation(drawn),
        "fifo_events": simulation(equal, events=True),
        "campaign": simulation(campaign()),
        "day": simulation(day()),
        "hpa_by_state": hpa_day(by_pod=False),
        "hpa_by_pod": hpa_day(by_pod=True),
        "hpa_readable_sync": readable_sync(),
    }
    seconds = fastest(works, rounds)
    empty, filled = first_use_seconds()
    rates = {f"{name}_tasks_a_second": TASKS / seconds[name] for name in ("heapq", "fifo", "fifo_drawn", "fifo_events")}
    return {
        **{f"{name}_seconds": value for name, value in seconds.items()},
        **rates,
        "fifo_ratio": seconds["heapq"] / seconds["fifo"],
        "fifo_drawn_ratio": seconds["heapq"] / seconds["fifo_drawn"],
        "fifo_events_ratio": seconds["heapq"] / seconds["fifo_events"],
        "day_ratio": DAY_SYNCS * seconds["hpa_readable_sync"] / seconds["hpa_by_pod"],
        "first_use_seconds": empty,
        "first_use_cached_seconds": filled,
    }


def _table(result: dict[str, float]) -> Table:
    table = Table(title=f"Simulator, {TASKS:,} tasks of one class on {SLOTS * PODS:,} slots")
    for column in ("what", "took", "rate", "ratio"):
        table.add_column(column, justify="left" if column == "what" else "right")

    def line(what: str, name: str, *, tasks: bool = False, ratio: str = "") -> None:
        rate = f"{result[f'{name}_tasks_a_second'] / 1e6:.2f} M tasks/s" if tasks else ""
        table.add_row(what, f"{1000 * result[f'{name}_seconds']:,.1f} ms", rate, ratio and f"{result[ratio]:.1f}")

    line("plain Python over heapq", "heapq", tasks=True)
    line("simulate, equal times", "fifo", tasks=True, ratio="fifo_ratio")
    line("simulate, lognormal times", "fifo_drawn", tasks=True, ratio="fifo_drawn_ratio")
    line("simulate by events, equal times", "fifo_events", tasks=True, ratio="fifo_events_ratio")
    line("the e-mail campaign: 10,000 tasks, KEDA, CPU", "campaign")
    line(f"a day: {DAY_TASKS:,} tasks, KEDA, CPU", "day")
    line(f"{DAY_SYNCS:,} HPA decisions on {DAY_PODS:,} pods, by state", "hpa_by_state")
    line("the same, pod by pod (ratio: to the readable core)", "hpa_by_pod", ratio="day_ratio")
    line("first campaign of a process, nothing compiled yet", "first_use")
    line("the same, compiled by an earlier process", "first_use_cached")
    return table


if __name__ == "__main__":
    run(main)
