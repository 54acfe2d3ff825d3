"""What the environment may say, and what each mistake says."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.spike.effect_sources import DeliveredMails, Markers, parse_effects
from harness.spike.settings import from_environment, new_run_id


@pytest.fixture
def listener() -> Iterator[str]:
    """Something that accepts connections, as a broker would."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"amqp://guest:sesame@127.0.0.1:{server.getsockname()[1]}//"


@pytest.fixture
def topology_file(tmp_path: Path, topology: dict[str, Any]) -> Path:
    path = tmp_path / "topology.json"
    path.write_text(json.dumps(topology))
    return path


def test_everything_is_read(listener: str, topology_file: Path, topology: dict[str, Any]) -> None:
    found = from_environment(
        {
            "BROKER_URL": listener,
            "CELERY_TOPOLOGY": str(topology_file),
            "SPIKE_RUN_ID": "r",
            "SPIKE_JOURNAL_DIR": "/x/y",
            "SPIKE_EFFECTS": "{}",
        }
    )
    assert (found.broker_url, found.topology, found.run_id) == (listener, topology, "r")
    assert (found.journals, found.effects) == (Path("/x/y"), "{}")


def test_a_run_id_is_made_up_where_none_is_given(listener: str, topology_file: Path) -> None:
    found = from_environment({"BROKER_URL": listener, "CELERY_TOPOLOGY": str(topology_file)})
    assert found.run_id
    assert found.journals is None
    assert found.effects is None
    assert new_run_id() != new_run_id()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (None, r"BROKER_URL is not set; give the broker to load: amqp://"),
        ("localhost:5672", r"BROKER_URL must look like amqp://user:password@host:5672/vhost"),
        ("redis://localhost", r"BROKER_URL must look like amqp://"),
        ("amqp://u:sesame@127.0.0.1:1//", r"no broker answers at BROKER_URL \(amqp://u@127.0.0.1:1/"),
    ],
)
def test_a_bad_broker_url_is_one_clear_message_without_the_password(
    url: str | None, message: str, topology_file: Path
) -> None:
    environment = {"CELERY_TOPOLOGY": str(topology_file)} | ({"BROKER_URL": url} if url else {})
    with pytest.raises(InputError, match=message) as caught:
        from_environment(environment)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"CELERY_TOPOLOGY .*gone.json: No such file or directory; unset it to use values/prod.yaml"),
        ("{", r"is not JSON"),
        ("[]", r"is not a topology.json: no classes, default_queue, queues, routes"),
        ('{"queues": {}, "classes": {}}', r"no default_queue, routes"),
    ],
)
def test_a_topology_that_is_none_is_refused(listener: str, tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "gone.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        from_environment({"BROKER_URL": listener, "CELERY_TOPOLOGY": str(path)})


def test_effects_are_seen_in_the_stand_ins_and_in_the_database(tmp_path: Path) -> None:
    document = {"standins_url": "http://127.0.0.1:9", "database_url": f"sqlite:///{tmp_path}/x.sqlite"}
    mails, markers = parse_effects(json.dumps(document))
    assert isinstance(mails, DeliveredMails)
    assert isinstance(markers, Markers)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("standins", r"SPIKE_EFFECTS is not JSON"),
        ("[]", r"must be a JSON object with standins_url and database_url"),
        ("{}", r"must be a JSON object"),
        ('{"standin_url": "http://x"}', r"must be a JSON object"),
        ('{"standins_url": 5}', r"standins_url must be a URL, not 5"),
    ],
)
def test_effects_that_cannot_be_read_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_effects(text)


def test_stand_ins_out_of_reach_are_asked_again_later() -> None:
    assert DeliveredMails("http://127.0.0.1:1").poll() == []
