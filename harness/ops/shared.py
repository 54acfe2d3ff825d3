"""Settings that all pods share through Redis: rate limits of tasks, overrides of circuit breakers.

Keys are `<prefix>:<kind>:<name>`, as the workers and celery_workers read them; an override with an end is a key with an
expiry, so that Redis itself takes it away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import redis

from harness.broker.urls import redact
from harness.errors import HarnessError, InputError
from harness.ops import objects
from harness.ops.overrides import Setting

RATE, BREAKER = "rate", "breaker"
ANSWER_SECONDS = 1.0
NO_REDIS = (
    "the release has no Redis (redis.existingSecret, or CELERY_WORKERS_REDIS_URL): what all pods share is kept there"
)


def connect(url: str | None) -> redis.Redis | None:
    """Return a client whose waits are short, None without an address; nothing is sent yet."""
    if not url:
        return None
    return redis.Redis.from_url(
        url, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS, decode_responses=True
    )


def require(client: redis.Redis | None, *, url: str | None) -> redis.Redis:
    """Return the client of a Redis that answers. Raises InputError without one, HarnessError when it is silent."""
    if client is None:
        raise InputError(NO_REDIS)
    try:
        client.ping()
    except redis.RedisError as error:
        raise HarnessError(f"Redis does not answer at {redact(url or '')}: {error}") from error
    return client


@dataclass(frozen=True)
class SharedHandler:
    """The engine's handler of "rate/<task>" and "breaker/<name>". Its end is kept by Redis."""

    client: redis.Redis
    prefix: str

    def read(self, thing: str) -> Setting:
        """Return the setting, None where nothing is set. Raises HarnessError."""
        kind, name = objects.parts_of(thing)
        with _Answers():
            if kind == RATE:
                return self.client.get(f"{self.prefix}:rate:{name}")
            return _breaker_setting(self.client.hgetall(f"{self.prefix}:breaker-override:{name}"))

    def write(self, thing: str, setting: Setting, *, until: float | None, mark: str | None) -> None:
        """Set it, up to `until` where that is given; None takes it off. Raises HarnessError."""
        kind, name = objects.parts_of(thing)
        key = f"{self.prefix}:{'rate' if kind == RATE else 'breaker-override'}:{name}"
        with _Answers(), self.client.pipeline(transaction=True) as together:
            together.delete(key)
            if setting is not None:
                if kind == RATE:
                    together.set(key, setting)
                else:
                    together.hset(key, mapping=setting)
                if until is not None:
                    together.expireat(key, int(until) + 1)
                together.sadd(f"{self.prefix}:{'rates' if kind == RATE else 'breakers'}", name)
            elif kind == RATE:
                together.srem(f"{self.prefix}:rates", name)
            together.execute()


def rates(client: redis.Redis, prefix: str) -> dict[str, str]:
    """Return the rate limits in force, by task. Raises HarnessError."""
    with _Answers():
        names = _members(client, f"{prefix}:rates")
        values = cast(list[str | None], client.mget([f"{prefix}:rate:{name}" for name in names]) if names else [])
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


def breakers(client: redis.Redis, prefix: str) -> dict[str, dict[str, Any]]:
    """Return the breakers seen so far: what their state holds, and their override. Raises HarnessError."""
    with _Answers():
        return {
            name: {
                "state": dict(client.hgetall(f"{prefix}:breaker:{name}")),
                "override": _breaker_setting(client.hgetall(f"{prefix}:breaker-override:{name}")),
            }
            for name in _members(client, f"{prefix}:breakers")
        }


def forget_deliveries(client: redis.Redis, prefix: str, task_id: str) -> None:
    """Have the workers count a task's deliveries from the start: a person has put it back. Raises HarnessError."""
    with _Answers():
        client.delete(f"{prefix}:deliveries:{task_id}")


def _members(client: redis.Redis, key: str) -> list[str]:
    return sorted(cast(set[str], client.smembers(key)))


def _breaker_setting(found: Any) -> Setting:
    if not found:
        return None
    return {key: int(value) if key == "threshold" else value for key, value in found.items()}


class _Answers:
    """Turns Redis's errors into one message."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, redis.RedisError):
            raise HarnessError(f"Redis does not answer: {error}") from error
