"""How fast the tuner's coarse model is: `python -m benchmarks.fluid`.

A scenario-day is 5,760 steps of 15 s over three classes with the guide's pools and rules, ten lanes of queue and
priority, and a day's traffic with its peaks. The compiled form is measured beside the uncompiled one, which does a part
of the same day; both in one process and by CPU time, which other work on the machine adds less to. Exits 1 below the
rate that issue 7 asks for.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import replace

import click
import numpy as np

from benchmarks.command_line import run
from harness.simulation import fluid_state
from harness.simulation.fluid_model import REFERENCE, compiled
from harness.simulation.fluid_plant import Layout, lay_out, tables
from harness.simulation.model import Load, Plant, Queue
from tests.unit.simulation.fluid_plants import load, plant, scaler, task, worker

DAYS_A_MINUTE = 10_000
DAY_SECONDS = 86_400.0
STEP_SECONDS = 15.0
REFERENCE_STEPS = 240
PRIORITIES = {"io": (9, 8, 6, 5, 4), "cpu": (7, 4, 2), "mixed": (3, 1)}
TASKS_A_DAY = {"io": 200_000, "cpu": 20_000, "mixed": 40_000}
SERVICE_SECONDS = {"io": 4.0, "cpu": 6.0, "mixed": 4.0}


def a_day() -> tuple[Plant, Load]:
    """Return the guide's three classes and a day that is busiest at ten, two and eight."""
    given = plant(
        worker("io", slots=200, scaler=scaler("io", depth=200, latency=30, cpu=50), cpu_request_milli=200),
        worker("cpu", pool="prefork", slots=4, cpu_cores=2.0, cpu_request_milli=1000,
               scaler=scaler("cpu", high=3, depth=8, latency=300, cpu=70)),
        worker("mixed", pool="threads", slots=16, cpu_request_milli=500,
               scaler=scaler("mixed", high=2, depth=32, latency=600, cpu=60)),
        queues=[Queue(name=name, max_length_messages=5000, priorities=True, ttl_seconds=1800.0) for name in PRIORITIES],
    )  # fmt: skip
    rng = np.random.default_rng(1)
    parts = []
    for name, priorities in PRIORITIES.items():
        for priority in priorities:
            hours = rng.choice([10.0, 14.0, 20.0], TASKS_A_DAY[name] // len(priorities))
            due = np.sort((hours + rng.normal(0.0, 1.5, len(hours))) % 24.0) * 3600.0
            one = task(f"{name}-{priority}", queue=name, seconds=SERVICE_SECONDS[name], cpu_seconds=0.01)
            parts.append((replace(one, priority=priority), due.tolist()))
    return given, load(*parts)


def measured(rounds: int) -> dict[str, float]:
    """Return scenario-days a minute of both forms: the fastest of several rounds, since a busy machine only adds."""
    given, offered = a_day()
    whole = lay_out(given, offered, step_seconds=STEP_SECONDS, limit_seconds=DAY_SECONDS)
    part = replace(whole, arrivals=whole.arrivals[: REFERENCE_STEPS + len(whole.arrivals) // 3][-REFERENCE_STEPS:])
    fast = compiled()
    fast.foretell(given, part)  # compiled before it is measured
    days = [_seconds(given, whole, fast.run) for _ in range(rounds)]
    plain = [_seconds(given, part, REFERENCE.run) for _ in range(3)]
    compiled_part = [_seconds(given, part, fast.run) for _ in range(rounds)]
    with_tables = min(_seconds_with_tables(given, whole, fast.run) for _ in range(rounds))
    return {
        "days_per_minute": 60.0 / min(days),
        "days_per_minute_with_tables": 60.0 / with_tables,
        "microseconds_a_day": 1e6 * min(days),
        "ratio_to_uncompiled": min(plain) / min(compiled_part),
        "limit": DAYS_A_MINUTE,
    }


def _seconds(given: Plant, layout: Layout, step_through) -> float:  # type: ignore[no-untyped-def]
    ready = tables(given, layout)
    state, curves = fluid_state.start(ready), fluid_state.room(ready)
    started = time.process_time()
    step_through(ready, state, curves)
    return time.process_time() - started


def _seconds_with_tables(given: Plant, layout: Layout, step_through) -> float:  # type: ignore[no-untyped-def]
    started = time.process_time()
    ready = tables(given, layout)
    step_through(ready, fluid_state.start(ready), fluid_state.room(ready))
    return time.process_time() - started


@click.command()
@click.option("--rounds", default=50, show_default=True, type=click.IntRange(1), help="How often each is measured.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(rounds: int, as_json: bool) -> None:
    """Measure and print the rate; exit 1 when it is below the limit."""
    result = measured(rounds)
    click.echo(json.dumps(result, indent=2) if as_json else words(result))
    sys.exit(0 if result["days_per_minute"] >= DAYS_A_MINUTE else 1)


def words(result: dict[str, float]) -> str:
    """Return the result as one line."""
    return (
        f"coarse model: {math.floor(result['days_per_minute']):,} scenario-days a minute on one core "
        f"({result['microseconds_a_day']:,.0f} us each; {math.floor(result['days_per_minute_with_tables']):,} with the "
        f"tables made anew; at least {result['limit']:,.0f}), {result['ratio_to_uncompiled']:,.0f} times the uncompiled"
    )


if __name__ == "__main__":
    run(main)
