"""The scenario of a calibration makes each class add one pod, alone, whatever the machine is like."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.autoscaling.metrics import ExternalMetric
from harness.planning.case import Case
from harness.planning.engine import simulate
from harness.planning.figures import CostAtRates, Figures, assumed
from harness.planning.measured_class import typical_rate
from harness.planning.place import STATISTICS_SECONDS
from harness.simulation.model import Trace, WorkerClass
from tests.unit.planning.cases import case

IO_DEPLOYMENT = "celery-io-worker"
CROWD, SYNC_SECONDS, READY_SECONDS = "io-crowd", 15.0, 8.0
OLDEST_SECONDS = 2 * STATISTICS_SECONDS
FEW, ALONE, CROWDED = (32, 50), (74, 86), (166, 176)
"""Seconds in which the mails of these phases are in work."""
GROWS_AT = {"cpu": 104.5, "mixed": 119.5, "io": 134.5}


def calibration(figures: Figures) -> Case:
    """The calibration, foretold as `harness calibrate` runs it: without CPU targets."""
    asked = case("calibration", figures=figures)
    classes = []
    for one in asked.plant.classes:
        assert one.scaler is not None
        hpa = one.scaler.hpa
        depth = tuple(metric for metric in hpa.metrics if isinstance(metric, ExternalMetric))
        classes.append(replace(one, scaler=replace(one.scaler, hpa=replace(hpa, metrics=depth))))
    return asked.on(replace(asked.plant, classes=tuple(classes)))


def asked_on(cpu_factor: float) -> Case:
    """The calibration, foretold where tasks cost so many times what is stated."""
    figures = assumed("local")
    pools = {
        name: replace(pool, cpu_factor=cpu_factor, host_cpu_seconds=pool.host_cpu_seconds * cpu_factor)
        for name, pool in figures.pools.items()
    }
    return calibration(replace(figures, pools=pools, host_factor=cpu_factor))


@pytest.mark.parametrize("cpu_factor", [1.0, 1.7, 2.3, 3.1])
def test_each_class_adds_one_pod_while_no_other_starts(cpu_factor: float) -> None:
    steps = asked_on(cpu_factor).simulated(simulate).steps
    assert [(one.deployment.split("-")[1], one.before, one.after) for one in steps[:3]] == [
        (name, 1, 2) for name in GROWS_AT
    ]
    assert [one.t for one in steps[:3]] == pytest.approx(list(GROWS_AT.values()))
    assert not [one for one in steps[3:] if one.t < max(GROWS_AT.values()) + SYNC_SECONDS]


@pytest.mark.parametrize("cpu_factor", [1.0, 1.7, 2.3, 3.1])
def test_no_pod_is_added_while_there_is_a_crowd(cpu_factor: float) -> None:
    asked = asked_on(cpu_factor)
    found = asked.simulated(simulate)
    crowd = [one.phase == CROWD for one in asked.offered.plan.arrivals]
    first, last = asked.offered.load.due_seconds[crowd].min(), found.done[crowd].max()
    assert sum(crowd) > 1_000
    assert not [one for one in found.steps if first - SYNC_SECONDS + READY_SECONDS < one.t < last]


@pytest.mark.parametrize("cpu_factor", [1.7, 3.1])
def test_it_asks_for_one_more_pod_however_old_the_queue_statistics_are(cpu_factor: float) -> None:
    asked = asked_on(cpu_factor)
    found = asked.simulated(simulate)
    for one in asked.plant.classes:
        at = GROWS_AT[one.name]
        seen = range(math.floor(at - OLDEST_SECONDS), math.ceil(at))
        assert {_wanted(one, found, second) for second in seen} == {2}, one.name


def _wanted(one: WorkerClass, found: Trace, second: int) -> int:
    """The pods that messages waiting and in work ask for, by the autoscaler's rule and its tolerance."""
    assert one.scaler is not None
    hpa = one.scaler.hpa
    (target,) = {
        metric.target_average_milli / 1000
        for metric in hpa.metrics
        if isinstance(metric, ExternalMetric) and metric.target_average_milli and metric.name.startswith("s0-")
    }
    (queue,) = one.queues
    messages = float(found.ready[queue][second] + found.unacked[queue][second])
    if abs(messages / target - 1) <= 0.1:
        return 1
    return min(math.ceil(messages / target), hpa.max_replicas)


def test_a_crowd_costs_in_a_forecast_what_it_cost_in_the_calibration() -> None:
    figures = assumed("local")
    simple = asked_on(2.0).simulated(simulate)
    law = CostAtRates(
        per_second=_per_second(simple, *ALONE, workers=1),
        crowd_per_second=_per_second(simple, *CROWDED, workers=2),
        crowd_share=0.6,
        few_per_second=_per_second(simple, *FEW, workers=1),
        few_share=1.4,
    )
    gevent = replace(figures.pools["gevent"], cpu_factor=2.0, message_cpu_seconds=0.0026, message_cost=law)
    asked = calibration(replace(figures, pools={**figures.pools, "gevent": gevent}))
    found = asked.simulated(simulate)
    phases = np.array([one.phase for one in asked.offered.plan.arrivals])
    idling = gevent.idle_cores * np.array(found.running[IO_DEPLOYMENT])
    used = np.array(found.cpu_cores["io"]) - idling

    def of_each(phase: str, begin: int, end: int) -> float:
        return float(used[begin:end].sum()) / int((phases == phase).sum())

    few, alone, crowd = of_each("io-few", *FEW), of_each("io-alone", *ALONE), of_each("io-crowd", *CROWDED)
    assert alone == pytest.approx(0.0026, rel=0.05)
    assert few / alone == pytest.approx(1.4, rel=0.1)
    assert crowd / alone == pytest.approx(0.6, rel=0.1)


def _per_second(found: Trace, begin: int, end: int, *, workers: int) -> float:
    """A phase's rate for one worker, as a calibration reckons it."""
    ended = np.bincount(found.done.astype(int), minlength=len(found.seconds) + 1)
    in_work = np.array(found.unacked["io"])
    turns = [ended[at - 1] + (in_work[at] - in_work[at - 1]) / 2 for at in range(begin + 1, end + 1)]
    return typical_rate(turns) / workers
