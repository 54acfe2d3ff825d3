"""URLs, statistics and commands of harness.broker, without a broker."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from harness import packages
from harness.broker import container, node, server
from harness.broker.stats import QueueStats, version_numbers
from harness.broker.urls import parse_amqp
from harness.errors import HarnessError, InputError
from harness.urls import redact


@pytest.mark.parametrize(
    ("url", "host", "port", "vhost"),
    [
        ("amqp://u:p@h:1234//", "h", 1234, "/"),
        ("amqp://u:p@h", "h", 5672, "/"),
        ("amqps://u:p@h/exam%2Fx", "h", 5671, "exam/x"),
    ],
)
def test_amqp_url_parts(url: str, host: str, port: int, vhost: str) -> None:
    parts = parse_amqp(url, source="BROKER_URL")
    assert (parts.host, parts.port, parts.vhost) == (host, port, vhost)


@pytest.mark.parametrize("url", ["redis://h", "h:5672", "amqp://", "amqp://h:port", "amqp://[::1"])
def test_malformed_amqp_url_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="BROKER_URL"):
        parse_amqp(url, source="BROKER_URL")


def test_urls_are_shown_without_password() -> None:
    assert "geheim" not in parse_amqp("amqp://u:geheim@h/v", source="x").shown
    assert redact("http://u:geheim@h:15672/v") == "http://u@h:15672/v"
    assert "geheim" not in redact("http://u:geheim@h:port")


def test_management_is_guessed_beside_the_broker() -> None:
    assert parse_amqp("amqp://u:p%40q@h:9/v", source="x").management_guess() == "http://u:p%40q@h:15672/v"
    assert parse_amqp("amqps://u:p@h", source="x").management_guess() == "https://u:p@h:15671/%2F"


def test_broker_that_does_not_answer_is_an_input_error(closed_port: int) -> None:
    with pytest.raises(InputError, match=f"BROKER_URL.*127.0.0.1:{closed_port}") as caught:
        server.given_broker(f"amqp://u:geheim@127.0.0.1:{closed_port}//", {})
    assert "geheim" not in str(caught.value)


def test_queue_statistics_of_a_new_queue_are_zero() -> None:
    assert QueueStats.from_api({"name": "io"}) == QueueStats("io", 0, 0, 0, 0.0, 0.0, 0.0)


def test_queue_statistics() -> None:
    stats = QueueStats.from_api(
        {
            "name": "io",
            "messages_ready": 7,
            "messages_unacknowledged": 200,
            "consumers": 2,
            "message_stats": {
                "publish_details": {"rate": 1.5},
                "deliver_get_details": {"rate": 2.5},
                "ack_details": {"rate": 3.5},
            },
        }
    )
    assert stats == QueueStats("io", 7, 200, 2, 1.5, 2.5, 3.5)
    assert stats.total == 207


def test_version_numbers_compare() -> None:
    assert version_numbers("3.10.8") < (4, 0) <= version_numbers("4.0.5-beta.1")


def test_node_listens_on_loopback_only() -> None:
    text = node.configuration(node.Ports(amqp=1, management=2, distribution=3, epmd=4, metrics=5))
    assert "listeners.tcp.1 = 127.0.0.1:1" in text
    assert "management.tcp.ip = 127.0.0.1" in text
    assert "prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = 5\n" in text


def test_node_reads_and_writes_its_directory_only() -> None:
    settings = node.environment(Path("/d"), node.Ports(1, 2, 3, 4, 5), name="n@localhost")
    paths = {key: value for key, value in settings.items() if key.endswith(("_FILE", "_BASE"))}
    assert len(paths) >= 7
    assert all(value.startswith("/d/") for value in paths.values())


def test_container_command_publishes_on_loopback_only() -> None:
    command = container.run_command(
        container.Engine("podman", "rabbitmq:x"),
        name="n",
        amqp_port=7,
        management_port=8,
        metrics_port=9,
        configuration=Path("/c"),
    )
    published = [value for flag, value in itertools.pairwise(command) if flag == "--publish"]
    assert published == ["127.0.0.1:7:5672", "127.0.0.1:8:15672", "127.0.0.1:9:15692"]
    assert command[:3] == ["podman", "run", "--rm"]
    assert command[-1] == "rabbitmq:x"
    assert "--detach" not in command  # in the foreground it ends with us


def _program(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f'#!/bin/sh\necho "{name} $@" >> {directory}/calls\n{script}\n')
    path.chmod(0o755)


def test_engine_with_an_image_present_is_taken_without_pulling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "docker", "exit 1")  # installed, its daemon is not running
    _program(tmp_path, "podman", 'case "$*" in info|*"inspect b") exit 0;; *) exit 1;; esac')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert container.find_engine(images=("a", "b")) == container.Engine("podman", "b")
    assert "pull" not in (tmp_path / "calls").read_text()


def test_image_is_pulled_when_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "docker", 'case "$1" in info|pull) exit 0;; *) exit 1;; esac')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert container.find_engine(programs=("docker",), images=("a", "b")) == container.Engine("docker", "a")


def test_engine_that_hangs_is_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "docker", "exec sleep 60")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert container.find_engine(programs=("docker",), images=("a",), answer_seconds=0.2) is None


def test_services_are_held_back_and_the_old_policy_restored(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("mine")
    policy.chmod(0o700)

    def fail_while_held_back() -> None:
        with packages.services_held_back(policy):
            assert "exit 101" in policy.read_text()
            assert policy.stat().st_mode & 0o777 == 0o755
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_while_held_back()
    assert policy.read_text() == "mine"
    assert policy.stat().st_mode & 0o777 == 0o700


def test_no_policy_is_left_where_there_was_none(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with packages.services_held_back(policy):
        assert policy.exists()
    assert not policy.exists()


def test_without_any_way_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BROKER_URL", raising=False)
    monkeypatch.setattr(node, "find_server", lambda: None)
    monkeypatch.setattr(container, "find_engine", lambda: None)
    monkeypatch.setattr(packages, "can_install", lambda: False)
    with pytest.raises(HarnessError) as caught, server.acquire(tmp_path):
        pass
    for word in ("apt-get install", "dnf install", "brew install", "BROKER_URL"):
        assert word in str(caught.value)
