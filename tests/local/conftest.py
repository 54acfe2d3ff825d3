"""Fixtures of tests that need a real broker."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator

import pytest

from harness.broker.management import Management
from harness.broker.server import Broker, acquire, for_vhost
from harness.broker.urls import parse_amqp
from harness.services import postgresql as postgresql_service
from harness.services import redis as redis_service
from harness.services.postgresql import PostgreSQL
from harness.services.redis import Redis


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A RabbitMQ for this session; with xdist one for each worker process."""
    with acquire(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def vhost_broker(broker: Broker) -> Iterator[Broker]:
    """The session's RabbitMQ with a virtual host of this test alone: its queues and policies meet nobody else's."""
    name = f"test-{secrets.token_hex(4)}"
    with Management(broker.management_url) as api:
        api.create_vhost(name, user=parse_amqp(broker.amqp_url, source="the broker").user)
        try:
            yield for_vhost(broker, name)
        finally:
            api.delete_vhost(name)


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
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """A PostgreSQL for this session; with xdist one for each worker process."""
    with postgresql_service.run(tmp_path_factory.mktemp("postgresql")) as running:
        yield running


@pytest.fixture
def own_database(postgresql: PostgreSQL) -> Iterator[PostgreSQL]:
    """The session's PostgreSQL with an empty database of this test alone."""
    with postgresql_service.own_database(postgresql, f"test_{secrets.token_hex(4)}") as own:
        yield own


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken but where nobody listens: connecting to it is refused."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield one.getsockname()[1]
