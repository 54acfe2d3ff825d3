"""Fixtures of tests that need a real broker."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.broker.server import Broker, acquire, own_vhost
from harness.services import postgresql as postgresql_service
from harness.services import redis as redis_service
from harness.services.postgresql import PostgreSQL
from harness.services.redis import Redis
from tests.local import keeper


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A directory of this test run; all its worker processes see the same one."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session")
def broker(run_directory: Path) -> Iterator[Broker]:
    """The RabbitMQ of this test run. Tests that stop it or fill its memory take `own_broker`."""
    with keeper.rabbitmq(run_directory) as running:
        yield running


@pytest.fixture
def vhost_broker(broker: Broker) -> Iterator[Broker]:
    """The run's RabbitMQ with a virtual host of this test alone: its queues and policies meet nobody else's."""
    with own_vhost(broker, f"test-{secrets.token_hex(4)}") as own:
        yield own


@pytest.fixture(scope="session")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A RabbitMQ that no other process's tests use; marking its tests ALONE has them share it, one after the other."""
    with acquire(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def own_vhost_broker(own_broker: Broker) -> Iterator[Broker]:
    """That RabbitMQ with a virtual host of this test alone."""
    with own_vhost(own_broker, f"test-{secrets.token_hex(4)}") as own:
        yield own


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis for this session; tests keep apart by the prefix of their keys."""
    with redis_service.run(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def redis_prefix() -> str:
    """A prefix of Redis keys of this test alone."""
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture(scope="session")
def postgresql(run_directory: Path) -> Iterator[PostgreSQL]:
    """The PostgreSQL of this test run; tests keep apart by databases of their own."""
    with keeper.postgres(run_directory) as running:
        yield running


@pytest.fixture
def own_database(postgresql: PostgreSQL) -> Iterator[PostgreSQL]:
    """The run's PostgreSQL with an empty database of this test alone."""
    with postgresql_service.own_database(postgresql, f"test_{secrets.token_hex(4)}") as own:
        yield own


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken but where nobody listens: connecting to it is refused."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield one.getsockname()[1]
