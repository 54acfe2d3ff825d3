"""A SharedRedis of each test, and one whose Redis is away."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from celery_workers.shared import SharedRedis
from celery_workers.topology import REDIS_URL_VARIABLE
from harness.services.redis import Redis


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REDIS_URL_VARIABLE, raising=False)


@pytest.fixture
def shared(redis: Redis, redis_prefix: str) -> Iterator[SharedRedis]:
    made = SharedRedis(redis.url, prefix=redis_prefix, timeout_seconds=10)  # on a busy machine it is slow, not away
    yield made
    made.close()


@pytest.fixture
def away(closed_port: int) -> SharedRedis:
    return SharedRedis(f"redis://127.0.0.1:{closed_port}/0", timeout_seconds=0.2)


@pytest.fixture(scope="session")
def redis_prefix_of_session() -> str:
    """For property tests, whose examples share one call's fixtures."""
    return f"test-{secrets.token_hex(4)}"
