"""State that processes share through Redis, of which none is worth a task: where Redis is away, work goes on without.

Needs the extra `redis`. One Redis (or one behind Sentinel or a proxy), not a Redis Cluster: a breaker's keys are looked
at together.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from celery_workers.topology import DIRECTORY_VARIABLE, FILE_NAME, REDIS_URL_VARIABLE

DEFAULT_PREFIX = "celery-workers"
TIMEOUT_SECONDS = 0.5  # for each of: a free connection, connecting, an answer
PAUSE_SECONDS = 1.0
CONNECTIONS = 20

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Away(Exception):  # noqa: N818 - says what happened
    """Redis did not answer, or was not asked because it did not a moment ago."""


class SharedRedis:
    """A Redis asked with short limits, and left alone for `pause_seconds` after it has failed to answer.

    So a Redis that hangs costs a process one wait now and then, not one for each task. `prefix` begins every key.
    `failures` counts the questions that got no answer. Safe under threads, greenlets and fork.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = DEFAULT_PREFIX,
        timeout_seconds: float = TIMEOUT_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
        connections: int = CONNECTIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.prefix = prefix
        self.failures = 0
        self.pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=connections,
            timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            # Once more, at once: a kept connection may have been closed since. Not after a timeout.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
            protocol=2,
        )
        self._client = redis.Redis(connection_pool=self.pool)
        self._scripts: dict[str, Any] = {}
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._ask_again_at = float("-inf")

    @staticmethod
    def from_environment(environment: Mapping[str, str] = os.environ) -> SharedRedis | None:
        """The Redis of CELERY_WORKERS_REDIS_URL, None without one; its prefix is topology.json's where there is one.

        All who ask in one process get the same, so they share its connections. Raises ValueError for a URL that is none
        of Redis.
        """
        url = environment.get(REDIS_URL_VARIABLE)
        return _of_process(url, _prefix(environment)) if url else None

    def key(self, kind: str, name: str = "") -> str:
        """The key of one thing: `<prefix>:<kind>:<name>`, or `<prefix>:<kind>`."""
        return f"{self.prefix}:{kind}:{name}" if name else f"{self.prefix}:{kind}"

    def ask(self, question: Callable[[redis.Redis], T]) -> T:
        """Return what `question` gets out of Redis. Raises Away."""
        if self._clock() < self._ask_again_at:
            raise Away("Redis did not answer a moment ago")
        try:
            return question(self._client)
        except redis.RedisError as error:
            self.failures += 1
            self._ask_again_at = self._clock() + self._pause_seconds
            _log.warning("Redis is away, work goes on without what it knows: %s", error)
            raise Away(f"Redis did not answer: {error}") from error

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[str | float]) -> Any:
        """Run a Lua script, sent by its hash when Redis knows it. Raises Away."""
        known = self._scripts.get(script)
        if known is None:
            known = self._scripts[script] = self._client.register_script(script)
        return self.ask(lambda _: known(keys=keys, args=arguments))

    def close(self) -> None:
        """Close the connections."""
        self.pool.disconnect()


@functools.cache
def _of_process(url: str, prefix: str) -> SharedRedis:
    return SharedRedis(url, prefix=prefix)


def _prefix(environment: Mapping[str, str]) -> str:
    directory = environment.get(DIRECTORY_VARIABLE)
    path = Path(directory, FILE_NAME) if directory else None
    if path is None or not path.is_file():
        return DEFAULT_PREFIX
    return str(json.loads(path.read_text(encoding="utf-8")).get("redis_key_prefix") or DEFAULT_PREFIX)
