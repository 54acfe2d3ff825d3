"""What workers share through Redis: how often a task was redelivered, and rates over all pods together.

CELERY_WORKERS_REDIS_URL says where Redis is. Without it, without the Python package `redis`, or while Redis is away,
nothing is counted and everything is allowed: no task waits for Redis, and none is lost with it. Each call is bounded by
CALL_SECONDS for connecting and for the answer; after a failure nobody asks for QUIET_SECONDS.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, TypeVar

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError:  # the application's image does without
    redis = None

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)

CALL_SECONDS = 0.5
QUIET_SECONDS = 10.0
COUNT_EXPIRY_SECONDS = 86_400
SLACK_SECONDS = 0.25  # how much of its rate a limit may make up for, since nobody asks at the very moment
DEFAULT_PREFIX = "celery-workers"
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}

# One grant a call: 0, or the milliseconds until it pays to ask again. KEYS: state. ARGV: milliseconds between two
# grants, milliseconds of slack.
GRANT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = tonumber(redis.call('GET', KEYS[1]) or '0')
if due > now then return math.ceil(due - now) end
local next = math.max(due, now - tonumber(ARGV[2])) + tonumber(ARGV[1])
redis.call('SET', KEYS[1], tostring(next), 'PX', math.ceil(next - now + ARGV[2]) + 1)
return 0
"""

Answer = TypeVar("Answer")


class Shared:
    """A release's part of a Redis database. Safe under threads and greenlets."""

    def __init__(self, url: str | None, prefix: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Connect at the first call; without a URL or the package no call ever does."""
        self.prefix = prefix
        self.clock = clock
        self.quiet_until = 0.0
        self.client: Any = None
        if url and redis is None:
            logger.warning("the Python package redis is not installed: nothing is counted or limited over all pods")
        elif url:
            self.client = redis.Redis.from_url(
                url,
                socket_connect_timeout=CALL_SECONDS,
                socket_timeout=CALL_SECONDS,
                retry=Retry(NoBackoff(), 0),
                decode_responses=True,
            )

    def key(self, kind: str, name: str) -> str:
        """Return the key of a thing."""
        return f"{self.prefix}:{kind}:{name}"

    def ask(self, question: Callable[[Any], Answer], otherwise: Answer) -> Answer:
        """Return what Redis says, `otherwise` where there is no Redis or it does not answer."""
        if self.client is None or self.clock() < self.quiet_until:
            return otherwise
        try:
            return question(self.client)
        except (redis.RedisError, OSError) as error:
            self.quiet_until = self.clock() + QUIET_SECONDS
            # Not the error's whole text: it may hold the URL.
            logger.warning(
                "Redis does not answer (%s): going on without for %.0f s", type(error).__name__, QUIET_SECONDS
            )
            return otherwise

    def count_redelivery(self, task_id: str, by: int = 1) -> int:
        """Count one more redelivery of a task, or by -1 none; return how many there were, 0 when nobody counts."""

        def count(client: Any) -> int:
            pipeline = client.pipeline(transaction=False)
            pipeline.incrby(self.key("deliveries", task_id), by)
            pipeline.expire(self.key("deliveries", task_id), COUNT_EXPIRY_SECONDS)
            return int(pipeline.execute()[0])

        return self.ask(count, 0)

    def rates(self) -> dict[str, str] | None:
        """Return the rates that hold now by task name, as they were written; None when Redis does not say."""

        def read(client: Any) -> dict[str, str] | None:
            names = sorted(client.smembers(f"{self.prefix}:rates"))
            if not names:
                return {}
            found = client.mget([self.key("rate", name) for name in names])
            return {name: rate for name, rate in zip(names, found, strict=True) if rate}

        return self.ask(read, None)

    def wait_seconds(self, name: str, per_second: float) -> float | None:
        """Ask for a grant of a rate: 0 for yes, else seconds until it pays to ask again; None without Redis."""

        def grant(client: Any) -> float | None:
            interval, slack = 1000.0 / per_second, 1000.0 * SLACK_SECONDS
            return float(client.eval(GRANT, 1, self.key("rate-state", name), interval, slack)) / 1000.0

        return self.ask(grant, None)


def parse_rate(text: str) -> float:
    """Return tasks a second of "10/m" (s, m, h); ValueError for what is none."""
    number, _, unit = text.strip().partition("/")
    per_second = float(number) / UNITS[unit or "s"] if (unit or "s") in UNITS else 0.0
    if not 0 < per_second < float("inf"):
        raise ValueError(f"{text!r} is no rate; write a number and /s, /m or /h, as in 10/m")
    return per_second


def make_shared(topology: Mapping[str, Any], environment: Mapping[str, str]) -> Shared:
    """Return what this process shares with the others of its release."""
    return Shared(environment.get("CELERY_WORKERS_REDIS_URL"), topology.get("redis_key_prefix") or DEFAULT_PREFIX)
