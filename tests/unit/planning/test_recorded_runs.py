"""What is foretold lies near what was measured: the runs of docs/results.md, on the same two cores.

The assumed figures of workers are used, which were rounded with such runs in view: this holds the planner where it is,
it proves no forecast.
"""

from __future__ import annotations

import numpy as np
import pytest

from harness.planning.case import judge
from harness.planning.engine import simulate
from harness.simulation.model import Trace
from tests.unit.planning.cases import case

pytestmark = pytest.mark.timeout(400)  # the first one here compiles the simulator


def steps(trace: Trace) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for one in trace.steps:
        found.setdefault(one.deployment.split("-")[1], [one.before]).append(one.after)
    return found


def test_the_campaign_on_keda_as_three_runs_had_it() -> None:
    asked = case("email-campaign")
    found = judge(asked, simulate)
    assert found.met
    assert steps(found.trace) == {"io": [1, 4]}
    assert found.trace.steps[0].t == pytest.approx(14.5)
    assert 41.8 * 0.95 <= np.nanmax(found.trace.done) <= 47.7 * 1.05
    assert np.count_nonzero(found.trace.refusals) == pytest.approx(3886, rel=0.05)


@pytest.mark.parametrize(
    ("environment", "drain_seconds", "pods"), [("prod", 407.2, {}), ("keda", 115.2, {"io": [1, 4, 5]})]
)
def test_the_slow_campaign_with_and_without_keda(
    environment: str, drain_seconds: float, pods: dict[str, list[int]]
) -> None:
    found = judge(case("email-slow", environment), simulate)
    assert np.nanmax(found.trace.done) == pytest.approx(drain_seconds, rel=0.07)
    assert steps(found.trace) == pods


def test_ten_times_the_traffic_misses_by_as_much_with_the_same_pods() -> None:
    found = judge(case("spike-10x"), simulate)
    (missed,) = [outcome for outcome in found.outcomes if not outcome.passed]
    assert missed.name == "completed_within"
    assert missed.measured == pytest.approx(0.8869, abs=0.02)
    assert steps(found.trace) == {"cpu": [1, 3], "io": [1, 4, 5], "mixed": [1, 2]}
