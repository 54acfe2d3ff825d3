"""Tasks of all classes run through, and RabbitMQ has what the values say."""

from __future__ import annotations

import pytest

from examx.catalogue import TASKS
from tests.cluster import topology
from tests.cluster.space import Space

EACH = 3


@pytest.mark.timeout(400)
def test_every_task_of_the_catalogue_leaves_its_effect(release: Space) -> None:
    ids = release.publish(dict.fromkeys(TASKS, EACH))
    assert len(ids) == EACH * len(TASKS)
    release.require_done(ids, seconds=120, what="every task of the catalogue")
    assert release.restarts() == {}


@pytest.mark.timeout(200)
def test_every_route_leads_to_its_queue_with_its_priority(release: Space) -> None:
    rendered = topology.rendered(release)
    routes = {route["task"]: route for route in rendered["routes"]}
    assert routes.keys() == TASKS.keys()
    asked = {"tasks": sorted(routes), "exchange": topology.EXCHANGE, "keys": sorted(rendered["queues"])}
    found = release.ask("routed", asked, seconds=120)
    assert {task: (one["queue"], one["priority"]) for task, one in found.items()} == {
        task: (route["queue"], route["priority"]) for task, route in routes.items()
    }
    release.require_done([one["id"] for one in found.values()], seconds=90, what="a task of each route")


@pytest.mark.timeout(120)
def test_exchanges_queues_and_policies_are_those_of_the_values(release: Space) -> None:
    topology.require_as_rendered(release)
