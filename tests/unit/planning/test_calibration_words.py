"""What `harness calibrate` prints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness.planning.calibration_words import shown
from harness.planning.figures import CostAtRates, Figures, assumed

NEVER = ("gevent.warm_up_cpu_seconds", "threads.probe_cpu_seconds")
MEASURED = replace(assumed("local"), source="cal", host_factor=2.25, background_cores=0.021, assumed=NEVER)


def printed(figures: Figures) -> str:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(shown(figures, Path("cal.json")))
    return " ".join(capture.get().split())


def test_each_pool_and_the_machine_are_told() -> None:
    text = printed(MEASURED)
    assert "measured by cal (local)" in text
    assert "gevent 2.0 s 7.0 s 1.8 s 1.00 x 30 ms 0.005 62 MiB" in text
    assert "publisher, broker and stand-ins cost 2.25 times" in text
    assert "besides the workers the machine is busy with 0.02 cores at rest" in text
    assert f"not measured, taken as assumed: {', '.join(NEVER)}" in text
    assert "mean of the others" not in text
    assert text.endswith("kept in cal.json")


def test_what_a_pod_costs_the_machine_is_told_where_it_was_measured() -> None:
    assert "0.02 cores at rest, and 0.031 for each pod" in printed(replace(MEASURED, pod_cores=0.031))
    assert "pod_cores" not in printed(replace(MEASURED, assumed=(*NEVER, "pod_cores")))


def test_what_a_crowd_costs_is_told_where_it_was_measured() -> None:
    gevent = replace(
        MEASURED.pools["gevent"], message_cpu_seconds=0.0026, message_cost=CostAtRates(60.0, 150.0, 0.625, 24.0, 1.5)
    )
    crowded = replace(
        MEASURED, pools={**MEASURED.pools, "gevent": gevent}, host_cost=CostAtRates(98.0, 310.0, 0.7, 98.0, 1.0)
    )
    text = printed(crowded)
    assert "scenarios state at 98 a second, 70% of that at 310" in text
    assert "a message costs a gevent worker 2.6 ms at 60 a second, 62% of that at 150" in text
    assert " of that at " not in printed(MEASURED)


def test_a_pool_whose_tasks_computed_too_little_is_told_apart_from_what_is_assumed() -> None:
    text = printed(replace(MEASURED, assumed=(*NEVER, "threads.cpu_factor")))
    assert "has the mean of the others: threads" in text
    assert "threads.cpu_factor" not in text


def test_where_no_pool_was_measured_there_is_no_mean() -> None:
    factors = tuple(f"{pool}.cpu_factor" for pool in MEASURED.pools)
    text = printed(replace(MEASURED, assumed=factors))
    assert "mean of the others" not in text
    assert f"taken as assumed: {', '.join(factors)}" in text


def test_a_pool_of_which_no_worker_started_alone_is_told() -> None:
    text = printed(replace(MEASURED, assumed=(*NEVER, "gevent.start_alone")))
    assert "no worker started alone: gevent" in text
    assert "gevent.start_alone" not in text
