"""Every scenario fits a machine of two cores with the production values, scaled by KEDA or by the guide's HPA."""

from __future__ import annotations

import pytest

from harness.chart import render
from harness.spike.arrivals import check_fits, class_of, plan
from harness.spike.ramps import fastest_ramps
from harness.spike.scenario import available, load_scenario


@pytest.mark.parametrize("environment", ["prod", "prod,keda"])
@pytest.mark.parametrize("name", available())
def test_a_scenario_needs_less_than_60_percent_of_two_cores(name: str, environment: str) -> None:
    manifests = render.render(render.environment_files(environment))
    topology = render.topology(manifests)
    scenario = load_scenario(name)
    check_fits(scenario, topology, cores=2, ramps=fastest_ramps(manifests, until_seconds=scenario.limit_seconds))
    for queue, offered in _offered(name, topology).items():
        limits = topology["queues"][queue]
        if limits["overflow"] == "reject-publish-dlx":  # what it refuses it keeps: the publisher may not try again
            assert offered <= limits["max_length_messages"], queue


def _offered(name: str, topology: dict) -> dict[str, int]:
    found: dict[str, int] = {}
    for arrival in plan(load_scenario(name), topology, run_id="r").arrivals:
        assert class_of(arrival.queue, topology) == arrival.worker_class
        found[arrival.queue] = found.get(arrival.queue, 0) + 1
    return found
