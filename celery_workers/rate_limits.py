"""Rate limits where tasks are published: so many for a key in a moving window, over all processes together.

Needs the extra `redis`; the counting is that of the library `limits`.

    mails = RateLimit("10/m", name="mails")
    mails.check(customer_id)                 # raises RateLimited

Where Redis is away, or none is configured, everything is allowed.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping

import limits
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter

from celery_workers.counters import Counters
from celery_workers.shared import Away, SharedRedis

NAMES = (
    "allowed",
    "limited",
    "redis_away",  # allowed because Redis did not answer
)
LONGEST_KEY = 64  # characters; a longer one, as a stranger may send, is counted under its digest

_RATE = re.compile(r"([1-9][0-9]{0,8})/([smh])")
_UNITS: Mapping[str, type[limits.RateLimitItem]] = {
    "s": limits.RateLimitItemPerSecond,
    "m": limits.RateLimitItemPerMinute,
    "h": limits.RateLimitItemPerHour,
}


class RateLimited(Exception):  # noqa: N818 - a caller reads `except RateLimited` as what happened
    """There were too many for the key. `retry_after_seconds` is when the next one is allowed."""

    def __init__(self, name: str, key: str, rate: str, *, retry_after_seconds: float) -> None:
        super().__init__(f"{name}: more than {rate} for {key!r}, the next in {retry_after_seconds:.1f} s")
        self.name = name
        self.key = key
        self.rate = rate
        self.retry_after_seconds = retry_after_seconds


def parse_rate(rate: str) -> limits.RateLimitItem:
    """Read `10/s`, `10/m` or `10/h`, as Celery writes rates. Raises ValueError."""
    found = _RATE.fullmatch(rate)
    if found is None:
        raise ValueError(f"a rate looks like 10/s, 10/m or 10/h, not {rate!r}")
    return _UNITS[found[2]](int(found[1]))


class RateLimit:
    """One limit, `name`, the same in every process that gives its name and rate.

    The window moves: at no time were there more than the rate's number in the last second, minute or hour, by the
    callers' own clocks. `redis` defaults to the one of CELERY_WORKERS_REDIS_URL. Raises ValueError for a bad rate.
    """

    def __init__(
        self,
        rate: str,
        *,
        name: str,
        redis: SharedRedis | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.rate = rate
        self.name = name
        self.counters = Counters(NAMES)
        self._item = parse_rate(rate)
        self._redis = redis or SharedRedis.from_environment()
        self._limiter = None if self._redis is None else _limiter(self._redis)
        self._wall_clock = wall_clock

    def check(self, key: str = "") -> None:
        """Count one more for `key`. Raises RateLimited, and counts nothing, where that is one too many."""
        retry_after_seconds = self._retry_after_seconds(key)
        if retry_after_seconds is None:
            self.counters.add("allowed")
            return
        self.counters.add("limited")
        raise RateLimited(self.name, key, self.rate, retry_after_seconds=retry_after_seconds)

    def _retry_after_seconds(self, key: str) -> float | None:
        if self._redis is None or self._limiter is None:
            return None
        limiter, counted_as = self._limiter, _short(key)
        try:
            if self._redis.ask(lambda _: limiter.hit(self._item, self.name, counted_as)):
                return None
            window = self._redis.ask(lambda _: limiter.get_window_stats(self._item, self.name, counted_as))
        except Away:
            self.counters.add("redis_away")
            return None
        return max(window.reset_time - self._wall_clock(), 0.001)


def _limiter(shared: SharedRedis) -> MovingWindowRateLimiter:
    # The URL only tells the storage which client to take; the connections are the pool's.
    storage = RedisStorage("redis://", connection_pool=shared.pool, key_prefix=shared.key("publish-rate"))
    return MovingWindowRateLimiter(storage)


def _short(key: str) -> str:
    return key if len(key) <= LONGEST_KEY else hashlib.sha256(key.encode()).hexdigest()
