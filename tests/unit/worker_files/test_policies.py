"""What the topology Job writes into a queue's one policy."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import workers
from tests.local.worker_release import load_file


@pytest.fixture
def job(config: Path) -> ModuleType:
    return load_file(config / "apply_topology.py")


@pytest.fixture
def policies(config: Path) -> ModuleType:
    return load_file(config / "topology_policies.py")


def test_consumer_timeout_only_where_the_broker_takes_it(job: ModuleType, topology: workers.Topology) -> None:
    queue = workers.make_queue("io", consumer_timeout_seconds=600)
    assert "consumer-timeout" not in job.policy_definition(topology, queue, (3, 13, 7))
    assert job.policy_definition(topology, queue, (4, 0, 5))["consumer-timeout"] == 600_000


def test_limits_that_are_not_set_are_absent(job: ModuleType, topology: workers.Topology) -> None:
    unset = dict.fromkeys(("max_length_messages", "overflow", "message_ttl_seconds", "dead_letter_queue"))
    unset.update(consumer_timeout_seconds=None, max_deliveries=None)
    for kind in ("classic", "quorum"):
        assert job.policy_definition(topology, workers.make_queue("io", type=kind, **unset), (4, 0)) == {}


@pytest.mark.parametrize(
    ("overflow", "expected"),
    [
        ("reject-publish", {"overflow": "reject-publish", "dead-letter-strategy": "at-least-once"}),
        ("reject-publish-dlx", {"overflow": "reject-publish", "dead-letter-strategy": "at-least-once"}),
        ("drop-head", {"overflow": "drop-head"}),
    ],
)
def test_quorum_queues_never_drop_what_they_should_refuse(
    job: ModuleType, topology: workers.Topology, overflow: str, expected: dict[str, Any]
) -> None:
    definition = job.policy_definition(topology, workers.make_queue("io", type="quorum", overflow=overflow), (4, 0))
    assert {key: definition[key] for key in definition if key in ("overflow", "dead-letter-strategy")} == expected


def test_looking_at_dead_letters_does_not_use_them_up(job: ModuleType) -> None:
    assert job.dead_letter_definition(workers.make_queue("io", type="quorum"), (4, 0)) == {"delivery-limit": -1}
    assert job.dead_letter_definition(workers.make_queue("io", type="quorum"), (3, 10)) == {}
    assert job.dead_letter_definition(workers.make_queue("io"), (4, 0)) == {}


def test_unknown_version_is_refused(job: ModuleType, topology: workers.Topology) -> None:
    with pytest.raises(job.TopologyError, match="version 2"):
        job.apply_topology(job.Api("http://h:1"), {**topology, "version": 2})


@pytest.mark.parametrize("url", ["", "host:15672", "amqp://u:p@host", "file:///etc/passwd"])
def test_unusable_management_url_is_refused(job: ModuleType, url: str) -> None:
    with pytest.raises(job.TopologyError, match="BROKER_MANAGEMENT_URL"):
        job.Api(url)


def test_virtual_host_is_the_urls_path(job: ModuleType) -> None:
    assert job.Api("http://u:p@h:15672").vhost == "/"
    assert job.Api("http://u:p@h:15672/exam%2Fx").vhost == "exam/x"
    assert job.Api("http://u:p@h:15672/v").base == "http://h:15672/api"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"priority": 99}, False),
        ({"pattern": "^cpu$"}, False),
        ({"apply-to": "exchanges"}, False),
        ({"apply-to": "quorum_queues"}, False),
        ({"apply-to": "classic_queues"}, True),
        ({"pattern": "(?|a|b)"}, False),
    ],
)
def test_which_policies_of_others_win(policies: ModuleType, changes: dict[str, Any], expected: bool) -> None:
    policy = {"name": "other", "pattern": ".*", "priority": 100, "apply-to": "all", **changes}
    assert policies.wins(policy, "io", "classic") is expected


@pytest.mark.parametrize(
    ("after", "waiting", "said"),
    [
        ({"message-ttl": 1000, "max-length": 100}, 7, "7 messages wait and keep the life"),
        ({"max-length": 100}, 7, "7 messages wait and keep the life"),
        ({"message-ttl": 1000, "max-length": 100}, 0, None),
        ({"message-ttl": 5000, "max-length": 100}, 7, None),
        ({"message-ttl": 5000, "max-length": 5}, 7, "refused until fewer than 5 do"),
        ({"message-ttl": 5000, "max-length": 7}, 7, None),
        ({"message-ttl": 5000, "max-length": 500}, 700, None),
    ],
)
def test_what_a_change_does_to_waiting_messages_is_said(
    job: ModuleType, after: dict[str, Any], waiting: int, said: str | None
) -> None:
    sentences = job.consequences({"message-ttl": 5000, "max-length": 100}, after, waiting)
    assert len(sentences) == (said is not None)
    assert said is None or said in sentences[0]


def test_delivery_limit_counts_what_comes_after_the_first(policies: ModuleType) -> None:
    assert policies.quorum_definition(workers.make_queue("io", type="quorum", max_deliveries=5))["delivery-limit"] == 4
