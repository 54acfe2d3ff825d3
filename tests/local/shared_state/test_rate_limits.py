"""Rate limits of publishers: counted for each key, over all processes, in a window that moves."""

from __future__ import annotations

import time

import pytest

from celery_workers.rate_limits import RateLimit, RateLimited, parse_rate
from celery_workers.shared import SharedRedis


def test_so_many_for_each_key_over_all_processes(shared: SharedRedis) -> None:
    here, elsewhere = (RateLimit("10/m", name="mails", redis=shared) for _ in range(2))
    for number in range(10):
        (here, elsewhere)[number % 2].check("one")
    with pytest.raises(RateLimited, match=r"mails: more than 10/m for 'one'") as caught:
        elsewhere.check("one")
    assert 0 < caught.value.retry_after_seconds <= 60
    elsewhere.check("two")
    RateLimit("10/m", name="letters", redis=shared).check("one")
    assert (here.counters["allowed"], elsewhere.counters["limited"]) == (5, 1)


def test_the_window_moves_on(shared: SharedRedis) -> None:
    limit = RateLimit("2/s", name="mails", redis=shared)
    limit.check()
    limit.check()
    with pytest.raises(RateLimited) as caught:
        limit.check()
    time.sleep(caught.value.retry_after_seconds + 0.05)
    limit.check()


def test_a_strangers_long_key_is_counted_and_not_stored(shared: SharedRedis) -> None:
    limit = RateLimit("1/h", name="mails", redis=shared)
    limit.check("x" * 100_000)
    with pytest.raises(RateLimited):
        limit.check("x" * 100_000)
    limit.check("x" * 100_001)
    keys = shared.ask(lambda client: client.keys(f"{shared.prefix}:*"))
    assert all(len(key) < 200 for key in keys)  # type: ignore[union-attr]


def test_redis_away_allows(away: SharedRedis) -> None:
    limit = RateLimit("1/h", name="mails", redis=away)
    for _ in range(5):
        limit.check()
    assert limit.counters["redis_away"] == 5
    assert away.failures == 1
    unconfigured = RateLimit("1/h", name="mails")
    unconfigured.check()
    unconfigured.check()


@pytest.mark.parametrize("rate", ["10", "0/m", "-1/m", "1.5/s", "10/d", "10/m ", "ten/m", ""])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    with pytest.raises(ValueError, match="10/s, 10/m or 10/h"):
        parse_rate(rate)
