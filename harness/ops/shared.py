"""Settings that all pods share through Redis: rate limits of tasks, overrides of circuit breakers.

Keys are `<prefix>:<kind>:<name>`, as the workers and celery_workers read them; an override with an end is a key with an
expiry, so that Redis itself takes it away.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from celery_workers.breaker_overrides import clear_override, list_breakers, read_breaker, set_override
from celery_workers.shared import Away, SharedRedis
from harness.errors import HarnessError, InputError
from harness.ops import objects
from harness.ops.overrides import Setting
from harness.urls import redact

RATE, BREAKER = "rate", "breaker"
ANSWER_SECONDS = 1.0
NO_REDIS = (
    "the release has no Redis, which keeps what all pods share: set redis.existingSecret in the values "
    "(with rate-limit, --per-worker does without)"
)


def connect(url: str | None, *, prefix: str) -> SharedRedis | None:
    """Return Redis with short waits, None without an address; nothing is sent yet."""
    return SharedRedis(url, prefix=prefix, timeout_seconds=ANSWER_SECONDS, pause_seconds=0.0) if url else None


def require(shared: SharedRedis | None, *, url: str | None) -> SharedRedis:
    """Return a Redis that answers. Raises InputError without one, HarnessError when it is silent."""
    if shared is None:
        raise InputError(NO_REDIS)
    with _answering(where=f" at {redact(url or '')}"):
        shared.ask(lambda client: client.ping())
    return shared


@dataclass(frozen=True)
class SharedHandler:
    """The engine's handler of "rate/<task>" and "breaker/<name>"; their end is kept by Redis. Times as of `clock`."""

    shared: SharedRedis
    clock: Callable[[], float] = time.time

    def read(self, thing: str) -> Setting:
        """Return the setting, None where nothing is set. Raises HarnessError."""
        kind, name = objects.parts_of(thing)
        with _answering():
            if kind == RATE:
                return _text(self.shared.ask(lambda client: client.get(self.shared.key("rate", name))))
            override = read_breaker(self.shared, name).override
        if override is None:
            return None
        return {key: value for key in ("mode", "threshold") if (value := getattr(override, key)) is not None}

    def write(self, thing: str, setting: Setting, *, until: float | None, mark: str | None) -> None:
        """Set it, up to `until` where that is given; None takes it off. Raises HarnessError."""
        kind, name = objects.parts_of(thing)
        left_seconds = None if until is None else max(until - self.clock(), 0.001)
        with _answering():
            if kind == RATE:
                self._write_rate(name, setting, left_seconds)
            elif setting is None:
                clear_override(self.shared, name)
            else:
                set_override(self.shared, name, **setting, for_seconds=left_seconds)

    def _write_rate(self, task: str, rate: str | None, left_seconds: float | None) -> None:
        key, index = self.shared.key("rate", task), self.shared.key("rates")

        def write(client: Any) -> None:
            with client.pipeline(transaction=True) as together:
                together.delete(key)
                if rate is None:
                    together.srem(index, task)
                else:
                    together.set(key, rate, px=None if left_seconds is None else round(left_seconds * 1000) or 1)
                    together.sadd(index, task)
                together.execute()

        self.shared.ask(write)


def rates(shared: SharedRedis) -> dict[str, str]:
    """Return the rate limits in force, by task. Raises HarnessError."""
    with _answering():
        members: Any = shared.ask(lambda client: client.smembers(shared.key("rates")))
        names = sorted(name.decode() for name in members)
        keys = [shared.key("rate", name) for name in names]
        values: Any = shared.ask(lambda client: client.mget(keys)) if keys else []
    return {name: value.decode() for name, value in zip(names, values, strict=True) if value is not None}


def breakers(shared: SharedRedis) -> dict[str, dict[str, Any]]:
    """Return where each breaker stands, by name. Raises HarnessError."""
    with _answering():
        return {one.name: asdict(one) for one in list_breakers(shared)}


def forget_deliveries(shared: SharedRedis, task_id: str) -> None:
    """Have the workers count a task's deliveries from the start: a person has put it back. Raises HarnessError."""
    with _answering():
        shared.ask(lambda client: client.delete(shared.key("deliveries", task_id)))


def _text(value: Any) -> str | None:
    return None if value is None else value.decode()


@contextlib.contextmanager
def _answering(where: str = "") -> Iterator[None]:
    try:
        yield
    except Away as error:
        raise HarnessError(f"Redis does not answer{where}: {error.__cause__ or error}") from error
