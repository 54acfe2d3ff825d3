"""What the liveness probe takes for an answer of a real broker."""

from __future__ import annotations

from types import ModuleType

import pytest

from harness.broker.server import Broker
from harness.chart.values import CHART
from tests.local.keeper import ALONE
from tests.local.standing_still import standing_still
from tests.local.worker_release import eventually, load_file

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def health() -> ModuleType:
    return load_file(CHART / "files" / "celery_workers_health.py")


@ALONE
def test_a_broker_that_is_stopped_does_not_answer_though_its_port_is_open(
    health: ModuleType, own_vhost_broker: Broker
) -> None:
    if own_vhost_broker.pid is None:
        pytest.skip("the broker is not ours to stop")
    assert health.any_answers(own_vhost_broker.amqp_url)
    with standing_still(own_vhost_broker.pid):
        assert not health.any_answers(own_vhost_broker.amqp_url)
    assert eventually(lambda: health.any_answers(own_vhost_broker.amqp_url), seconds=20)
