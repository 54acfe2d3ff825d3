"""The topology Job against a real broker."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from celery.exceptions import OperationalError

from benchmarks import workers
from harness.broker.management import Management
from harness.broker.server import Broker
from harness.broker.stats import version_numbers
from tests.local.worker_release import ReleaseUnderTest, eventually, load_file

pytestmark = pytest.mark.timeout(90)


def make_topology() -> workers.Topology:
    return workers.make_topology(
        app="user",
        classes={"io": workers.make_class("gevent", 200, "io", "plain")},
        queues={
            "io": workers.make_queue("io"),
            "cpu": workers.make_queue(
                "cpu", max_length_messages=1000, overflow="reject-publish-dlx", message_ttl_seconds=7200
            ),
            "plain": workers.make_queue(
                "io",
                max_priority=None,
                max_length_messages=None,
                overflow=None,
                message_ttl_seconds=None,
                dead_letter_queue=None,
                consumer_timeout_seconds=None,
            ),
        },
    )


def broker_state(release: ReleaseUnderTest) -> object:
    with Management(release.broker.management_url) as api:
        queues = {one["name"]: (one["arguments"], one["durable"]) for one in api.queue_documents()}
        return queues, api.policies()


def test_policies_read_back_as_the_topology_says(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology())
    with Management(vhost_broker.management_url) as api:
        policies = api.policies()
        queues = {one["name"]: one for one in api.queue_documents()}
        exchanges, bindings = api.exchanges(), api.bindings()
    assert {exchanges[name]["type"] for name in ("celery", "celery.dlx")} == {"direct"}
    routed = {(one["source"], one["routing_key"], one["destination"]) for one in bindings if one["source"]}
    assert routed == {
        *(("celery", name, name) for name in ("io", "cpu", "plain")),
        *(("celery.dlx", name, name) for name in ("io.dead", "cpu.dead")),
    }
    assert queues.keys() == {"io", "io.dead", "cpu", "cpu.dead", "plain"}
    assert policies.keys() == {"celery-io", "celery-cpu"}  # one a queue, none where nothing is limited
    for name in ("io", "cpu"):
        queue = release.topology["queues"][name]
        definition = policies[f"celery-{name}"]["definition"]
        timeout = definition.pop("consumer-timeout", None)
        assert (timeout is not None) == (version_numbers(vhost_broker.version) >= (4, 0))
        assert definition == {
            "max-length": queue["max_length_messages"],
            "overflow": queue["overflow"],
            "message-ttl": queue["message_ttl_seconds"] * 1000,
            "dead-letter-exchange": "celery.dlx",
            "dead-letter-routing-key": f"{name}.dead",
        }
        assert queues[name]["arguments"] == {"x-queue-type": "classic", "x-max-priority": 9}
        assert policies[f"celery-{name}"]["pattern"] == f"^{name}$"


def test_applying_again_changes_nothing(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology())
    release.publisher().send_task("anything", queue="io")
    before = broker_state(release)
    assert release.apply().returncode == 0
    assert broker_state(release) == before
    assert eventually(lambda: release.depth("io") == 1)


def test_limits_change_and_vanish_on_a_queue_with_tasks(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology())
    release.publisher().send_task("anything", queue="cpu")
    topology = make_topology()
    topology["queues"]["io"]["max_length_messages"] = 7
    topology["queues"]["cpu"] = {**topology["queues"]["plain"], "max_priority": 9}
    (release.config / "topology.json").write_text(json.dumps(topology))
    assert release.apply().returncode == 0
    with Management(vhost_broker.management_url) as api:
        policies = api.policies()
    assert policies["celery-io"]["definition"]["max-length"] == 7
    assert "celery-cpu" not in policies
    assert eventually(lambda: release.depth("cpu") == 1)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
@pytest.mark.parametrize("overflow", ["reject-publish", pytest.param("reject-publish-dlx", marks=pytest.mark.full)])
def test_no_change_of_limits_loses_what_waits(kind: str, overflow: str, vhost_broker: Broker, tmp_path: Path) -> None:
    """A lower limit keeps all that wait, also those above it; a shorter life is one for later messages."""
    changes = {"type": kind, "max_priority": 9 if kind == "classic" else None, "overflow": overflow}
    topology = make_topology()
    topology["queues"] = {"io": workers.make_queue("io", **changes)}
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, topology)
    publisher = release.publisher()
    sent = {publisher.send_task("anything", queue="io").id for _ in range(30)}
    assert eventually(lambda: release.depth("io") == 30)

    def apply(**limits: object) -> str:
        topology["queues"]["io"].update(limits)
        (release.config / "topology.json").write_text(json.dumps(topology))
        done = release.apply()
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    assert "30 messages wait and stay" in apply(max_length_messages=5)
    with pytest.raises(OperationalError):
        publisher.send_task("anything", queue="io", task_id="refused")
    time.sleep(1)
    with Management(vhost_broker.management_url) as api:
        assert api.depths()["io"].ready == 30
    assert "30 messages wait and keep" in apply(max_length_messages=None, overflow=None, message_ttl_seconds=0.5)
    time.sleep(2)
    with Management(vhost_broker.management_url) as api:
        assert api.depths()["io"].ready == 30
    channel = publisher.connection_for_read().default_channel
    found = {channel.basic_get("io").headers["id"] for _ in range(30)}
    channel.connection.close()
    assert found == sent


def test_queue_with_other_arguments_is_a_clear_error(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology())
    topology = make_topology()
    topology["queues"]["io"]["max_priority"] = 5
    (release.config / "topology.json").write_text(json.dumps(topology))
    done = release.apply()
    assert done.returncode == 1
    for part in ("'io' exists", '"x-max-priority": 9', '"x-max-priority": 5'):
        assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert "guest" not in done.stderr


def test_stronger_policy_of_someone_else_is_a_clear_error(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology())
    with Management(vhost_broker.management_url) as api:
        api.put_policy("everything", pattern=".*", definition={"max-length": 1}, priority=500)
    done = release.apply()
    assert done.returncode == 1
    assert "'everything'" in done.stderr
    with Management(vhost_broker.management_url) as api:
        api.put_policy("everything", pattern=".*", definition={"max-length": 1}, priority=1)
    assert release.apply().returncode == 0


def test_broker_that_stays_away_is_waited_for_and_named(tmp_path: Path, closed_port: int) -> None:
    config = workers.write_config(tmp_path / "config", make_topology())
    module = load_file(config / "apply_topology.py")
    module.PAUSE_SECONDS = 0.1
    started = time.monotonic()
    with pytest.raises(module.TopologyError, match=f"does not answer at http://127.0.0.1:{closed_port}") as caught:
        module.apply_topology(module.Api(f"http://u:geheim@127.0.0.1:{closed_port}"), make_topology(), wait_seconds=0.5)
    assert time.monotonic() - started >= 0.5
    assert "geheim" not in str(caught.value)
