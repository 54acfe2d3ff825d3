"""Probes: a worker is restarted only when it stands still while its broker answers, asked when it takes messages."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest

from tests.local.worker_release import load_file

NOW = 1_800_000_000.0


@pytest.fixture
def health(config: Path) -> ModuleType:
    return load_file(config / "celery_workers_health.py")


@pytest.fixture
def broker_url() -> Iterator[str]:
    """Something that answers whatever is said to it, as a broker does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_answer_all, args=[server], daemon=True)
        thread.start()
        yield f"amqp://u:p@127.0.0.1:{server.getsockname()[1]}//"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def _answer_all(server: socket.socket) -> None:
    with suppress(OSError):  # the end of the test
        while True:
            connection, _ = server.accept()
            with connection:
                if connection.recv(8).startswith(b"AMQP"):
                    connection.sendall(b"\x01")


@pytest.fixture
def hung_url() -> Iterator[str]:
    """Something whose kernel accepts connections, and that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"amqp://u:p@127.0.0.1:{server.getsockname()[1]}//"


@pytest.fixture
def dead_url() -> Iterator[str]:
    """An address where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield f"amqp://u:p@127.0.0.1:{one.getsockname()[1]}//"


def touched(directory: Path, at: float) -> Path:
    """Leave a heartbeat file of that time."""
    heartbeat = directory / "heartbeat"
    heartbeat.touch()
    os.utime(heartbeat, (at, at))
    return directory


def test_fresh_worker_is_live(health: ModuleType, tmp_path: Path, broker_url: str) -> None:
    assert health.is_live(touched(tmp_path, NOW - 80), broker_url, NOW)


def test_worker_that_has_not_come_so_far_is_live(health: ModuleType, tmp_path: Path, broker_url: str) -> None:
    assert health.is_live(tmp_path, broker_url, NOW)


def test_stale_worker_fails_after_its_broker_answered_long_enough(
    health: ModuleType, tmp_path: Path, broker_url: str
) -> None:
    touched(tmp_path, NOW - 100)
    verdicts = [health.is_live(tmp_path, broker_url, NOW + second) for second in (0, 30, 60, 89, 90, 120)]
    assert verdicts == [True, True, True, True, False, False]


def test_stale_worker_is_live_while_its_broker_is_away(health: ModuleType, tmp_path: Path, dead_url: str) -> None:
    touched(tmp_path, NOW - 100)
    assert all(health.is_live(tmp_path, dead_url, NOW + second) for second in range(0, 600, 30))


def test_stale_worker_is_live_while_its_broker_hangs(
    health: ModuleType, tmp_path: Path, hung_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "ANSWER_SECONDS", 0.2)
    touched(tmp_path, NOW - 100)
    assert all(health.is_live(tmp_path, hung_url, NOW + second) for second in range(0, 300, 60))


def test_many_brokers_that_hang_take_no_longer_than_one(health: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    def hang(address: tuple[str, int], tls: bool, limit_seconds: float) -> bool:
        limits.append(limit_seconds)
        return False

    monkeypatch.setattr(health, "answers", hang)
    assert not health.any_answers(";".join(["amqp://u:p@h//"] * 5))
    assert len(limits) == 5
    assert sum(limits) == pytest.approx(health.ANSWER_SECONDS)


def test_brokers_return_starts_the_count_anew(
    health: ModuleType, tmp_path: Path, broker_url: str, dead_url: str
) -> None:
    touched(tmp_path, NOW - 100)
    assert health.is_live(tmp_path, broker_url, NOW)
    assert health.is_live(tmp_path, dead_url, NOW + 60)
    assert health.is_live(tmp_path, broker_url, NOW + 100)
    assert health.is_live(tmp_path, broker_url, NOW + 189)
    assert not health.is_live(tmp_path, broker_url, NOW + 190)


def test_workers_recovery_starts_the_count_anew(health: ModuleType, tmp_path: Path, broker_url: str) -> None:
    touched(tmp_path, NOW - 100)
    assert health.is_live(tmp_path, broker_url, NOW)
    touched(tmp_path, NOW + 50)
    assert health.is_live(tmp_path, broker_url, NOW + 60)
    assert health.is_live(tmp_path, broker_url, NOW + 150)


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("amqp://u:p@h//", [("h", 5672)]),
        ("amqps://u:p@h/v", [("h", 5671)]),
        ("amqp://u:p@a:1//;amqp://u:p@b:2//", [("a", 1), ("b", 2)]),
        ("amqp://u:p@a//;b", [("a", 5672), ("b", 5672)]),
    ],
)
def test_addresses_of_broker_urls(health: ModuleType, url: str, addresses: list[tuple[str, int]]) -> None:
    assert health.broker_addresses(url) == addresses


def test_one_of_several_brokers_in_reach_counts(
    health: ModuleType, tmp_path: Path, broker_url: str, dead_url: str
) -> None:
    touched(tmp_path, NOW - 100)
    url = f"{dead_url};{broker_url}"
    assert health.is_live(tmp_path, url, NOW)
    assert not health.is_live(tmp_path, url, NOW + 90)


def test_exit_codes(health: ModuleType, tmp_path: Path, broker_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"CELERY_WORKERS_STATE_DIR": str(tmp_path), "CELERY_BROKER_URL": broker_url}
    assert health.main(["live"], environment) == 0
    touched(tmp_path, 0.0)
    since = tmp_path / health.REACHABLE_SINCE
    since.touch()
    os.utime(since, (0, 0))
    assert health.main(["live"], environment) == 1
    assert "stood still" in capsys.readouterr().err
    assert health.main(["sleep"], environment) == 2


def test_a_worker_that_takes_no_messages_yet_is_not_asked(config: Path, tmp_path: Path, dead_url: str) -> None:
    environment = {
        "CELERY_WORKERS_CLASS": "io",
        "POD_NAME": "pod-0",
        "CELERY_WORKERS_STATE_DIR": str(tmp_path),
        "CELERY_BROKER_URL": dead_url,
    }
    # Without site-packages: Celery, which takes ten times the CPU time, is not even looked for.
    command = [sys.executable, "-I", "-S", str(config / "celery_workers_health.py"), "startup"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert (run.returncode, run.stderr) == (1, "io@pod-0 does not take messages yet\n")
    (tmp_path / "ready").touch()
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert "No module named 'celery'" in run.stderr
