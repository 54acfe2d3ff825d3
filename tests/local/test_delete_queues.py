"""What the Job of an uninstalled release takes out of a real broker, and what it leaves."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest
from kombu import Connection

from benchmarks import workers
from harness.broker.management import Management
from harness.broker.server import Broker
from harness.chart.values import CHART
from tests.local.worker_release import ReleaseUnderTest, eventually, load_file

pytestmark = pytest.mark.timeout(90)

TOPOLOGY = workers.make_topology(
    app="user",
    classes={"io": workers.make_class("gevent", 200, "io", "cpu")},
    queues={"io": workers.make_queue("io"), "cpu": workers.make_queue("io")},
)


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with its neighbour in reach as in the Job's pod."""
    monkeypatch.syspath_prepend(str(CHART / "files"))
    monkeypatch.delitem(sys.modules, "apply_topology", raising=False)
    module = load_file(CHART / "files" / "delete_queues.py")
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.2)
    return module


@pytest.fixture
def applied(vhost_broker: Broker, tmp_path: Path) -> ReleaseUnderTest:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, TOPOLOGY)
    assert eventually(lambda: "io" in _left(vhost_broker)[0])
    return release


def _left(broker: Broker) -> tuple[set[str], set[str], set[str]]:
    """Return queues, policies and the release's exchanges that are there."""
    with Management(broker.management_url) as api:
        exchanges = {name for name in api.exchanges() if name.startswith("celery")}
        return {one["name"] for one in api.queue_documents()}, set(api.policies()), exchanges


def _put(broker: Broker, queue: str) -> None:
    with Connection(broker.amqp_url, transport_options={"confirm_publish": True}) as connection:
        connection.Producer().publish("one", exchange="", routing_key=queue)


def test_an_empty_release_leaves_nothing(job: ModuleType, vhost_broker: Broker, applied: ReleaseUnderTest) -> None:
    api = job.Api(vhost_broker.management_url)
    assert job.delete_where_possible(api, applied.topology, wait_seconds=10) == {}
    job.delete_exchanges(api, applied.topology)
    assert _left(vhost_broker) == (set(), set(), set())
    assert job.delete_where_possible(api, applied.topology, wait_seconds=10) == {}  # and may be run again


def test_a_queue_with_a_message_stays_with_its_policy(
    job: ModuleType, vhost_broker: Broker, applied: ReleaseUnderTest
) -> None:
    for queue in ("io", "io.dead"):
        _put(vhost_broker, queue)
    api = job.Api(vhost_broker.management_url)
    staying = job.delete_where_possible(api, applied.topology, wait_seconds=10)
    assert staying.keys() == {"io", "io.dead"}
    assert all("not empty" in why for why in staying.values()), staying
    assert _left(vhost_broker)[:2] == ({"io", "io.dead"}, {"celery-io"})


def test_a_consumer_is_waited_for(job: ModuleType, vhost_broker: Broker, applied: ReleaseUnderTest) -> None:
    api = job.Api(vhost_broker.management_url)
    with Connection(vhost_broker.amqp_url) as connection:
        connection.default_channel.basic_consume("io", no_ack=False)
        staying = job.delete_where_possible(api, applied.topology, wait_seconds=0.5)
        assert staying.keys() == {"io"}
        assert job.IN_USE in staying["io"]
        ending = threading.Timer(1.0, connection.default_channel.close)
        ending.start()
        assert job.delete_where_possible(api, applied.topology, wait_seconds=30) == {}
        ending.join()


def test_exit_code_and_message(
    job: ModuleType, vhost_broker: Broker, applied: ReleaseUnderTest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "job"
    directory.mkdir()
    (directory / "queues.json").write_text(json.dumps(applied.topology))
    job.__file__ = str(directory / "delete_queues.py")
    environment = {"BROKER_MANAGEMENT_URL": vhost_broker.management_url}
    _put(vhost_broker, "io")
    assert job.main(environment) == 1
    assert "queue 'io' stays: " in capsys.readouterr().err
    with Management(vhost_broker.management_url) as api:
        api.delete_queue("io")
    assert job.main(environment) == 0
    assert job.main({"BROKER_MANAGEMENT_URL": "nonsense"}) == 1
    assert "queues not deleted: BROKER_MANAGEMENT_URL must look like" in capsys.readouterr().err
