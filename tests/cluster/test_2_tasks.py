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


@pytest.mark.timeout(120)
def test_exchanges_queues_and_policies_are_those_of_the_values(release: Space) -> None:
    topology.require_as_rendered(release)
