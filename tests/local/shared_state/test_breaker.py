"""A circuit breaker: when it opens, who may try, what a person can override, and what it costs when Redis is away."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from celery_workers import breaker as breakers
from celery_workers.breaker import BreakerOpen, CircuitBreaker
from celery_workers.shared import Away, SharedRedis
from celery_workers.topology import REDIS_URL_VARIABLE
from harness.services import redis as redis_service
from harness.services.redis import Redis
from tests.local.standing_still import standing_still

SHORT_SECONDS = 0.3  # for a reset that is waited for; none of these tests asks whether it is over already


class DatabaseDownError(Exception):
    """What the dependency raises."""


class DuplicateError(Exception):
    """What the dependency says when it is well."""


def make(shared: SharedRedis, **options: object) -> CircuitBreaker:
    given = {"reset_seconds": 60.0, "probe_seconds": 60.0, "failures": (DatabaseDownError,), **options}
    return CircuitBreaker("db", redis=shared, **given)  # type: ignore[arg-type]


def fail(breaker: CircuitBreaker, times: int = 1, error: type[Exception] = DatabaseDownError) -> None:
    for _ in range(times):
        with pytest.raises(error), breaker:
            raise error


def open_up(breaker: CircuitBreaker) -> None:
    fail(breaker, 5)
    assert breaker.counters["opened"] == 1


def open_until_a_try(shared: SharedRedis) -> CircuitBreaker:
    """A breaker that was open, and now lets one try."""
    breaker = make(shared, reset_seconds=SHORT_SECONDS)
    open_up(breaker)
    wait_for(lambda: breakers.read_breaker(shared, breaker.name).state == "half-open")
    return breaker


def test_it_opens_at_the_fifth_failure_and_not_before(shared: SharedRedis) -> None:
    breaker = make(shared)
    fail(breaker, 4)
    with breaker:
        pass  # the fifth goes well: counted anew
    fail(breaker, 4)
    assert not breaker.is_open()
    fail(breaker)
    with pytest.raises(BreakerOpen, match="'db' is open") as caught, breaker:
        pytest.fail("the block ran")
    assert 0 < caught.value.retry_after_seconds <= 60
    assert (breaker.counters["opened"], breaker.counters["refused"]) == (1, 1)


def test_the_guides_calls(shared: SharedRedis) -> None:
    breaker = make(shared, reset_seconds=SHORT_SECONDS)
    for _ in range(4):
        assert not breaker.is_open()
        breaker.record_failure()
    breaker.record_success()
    for _ in range(5):
        assert not breaker.is_open()
        breaker.record_failure()
    assert breakers.read_breaker(shared, "db").opened == 1
    wait_for(lambda: not breaker.is_open())  # this thread may try
    assert breakers.read_breaker(shared, "db").state == "half-open"
    breaker.record_success()
    assert not breaker.is_open()
    assert breakers.read_breaker(shared, "db").state == "closed"


def test_as_a_decorator(shared: SharedRedis) -> None:
    breaker = make(shared, failure_threshold=1)

    @breaker
    def ask(answer: int) -> int:
        if answer < 0:
            raise DatabaseDownError
        return answer

    assert ask(3) == 3
    assert ask.__name__ == "ask"
    with pytest.raises(DatabaseDownError):
        ask(-1)
    with pytest.raises(BreakerOpen):
        ask(3)


def test_processes_count_together(shared: SharedRedis, redis: Redis) -> None:
    program = (
        "import sys\nfrom celery_workers.breaker import CircuitBreaker\n"
        "from celery_workers.shared import SharedRedis\n"
        "breaker = CircuitBreaker('db', redis=SharedRedis(sys.stdin.read(), prefix=sys.argv[1]))\n"
        "breaker.record_failure(); breaker.record_failure()\n"
    )
    command = [sys.executable, "-c", program, shared.prefix]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(2)]
    for child in children:
        child.communicate(redis.url, timeout=30)
        assert child.returncode == 0
    breaker = make(shared)
    assert not breaker.is_open()
    breaker.record_failure()
    assert breaker.is_open()


@pytest.mark.parametrize("ending", ["success", "failure"])
def test_one_of_all_threads_tries(shared: SharedRedis, ending: str) -> None:
    open_until_a_try(shared)
    others = [make(shared) for _ in range(4)]  # as so many processes
    trying, go_on = threading.Barrier(8), threading.Event()
    tried: list[str] = []

    def call(breaker: CircuitBreaker) -> None:
        trying.wait(10)
        try:
            with breaker:
                tried.append("tried")
                go_on.wait(10)
                if ending == "failure":
                    raise DatabaseDownError
        except (BreakerOpen, DatabaseDownError):
            return

    threads = [threading.Thread(target=call, args=(others[number % 4],)) for number in range(8)]
    for thread in threads:
        thread.start()
    wait_for(lambda: sum(breaker.counters["refused"] for breaker in others) == 7)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert tried == ["tried"]
    assert breakers.read_breaker(shared, "db").state == ("closed" if ending == "success" else "open")


def test_a_probe_that_says_nothing_is_followed_by_another(shared: SharedRedis) -> None:
    open_until_a_try(shared)
    first, second = make(shared, probe_seconds=SHORT_SECONDS), make(shared)
    began = time.monotonic()
    assert not first.is_open()
    wait_for(lambda: not second.is_open())
    assert time.monotonic() - began >= SHORT_SECONDS
    first.record_success()  # too late: it is the second's turn
    assert breakers.read_breaker(shared, "db").state == "half-open"
    second.record_success()
    assert breakers.read_breaker(shared, "db").state == "closed"


def test_only_what_the_caller_named_counts(shared: SharedRedis) -> None:
    breaker = make(shared, excluded=(DuplicateError,))
    fail(breaker, 4)
    fail(breaker, 9, ZeroDivisionError)  # says nothing, neither failure nor success
    assert breakers.read_breaker(shared, "db").failures == 4
    fail(breaker, 1, DuplicateError)  # an answer
    assert breakers.read_breaker(shared, "db").failures == 0


def test_a_probe_that_ends_without_a_verdict_lets_the_next_try(shared: SharedRedis) -> None:
    fail(open_until_a_try(shared), 1, ZeroDivisionError)
    assert not make(shared).is_open()


def test_another_breakers_refusal_is_no_failure(shared: SharedRedis) -> None:
    outer = CircuitBreaker("outer", redis=shared, failure_threshold=1)
    open_up(inner := make(shared))
    with pytest.raises(BreakerOpen), outer, inner:
        pass
    assert not outer.is_open()


def test_waiting_ends_when_it_closes(shared: SharedRedis) -> None:
    breaker = make(shared, reset_seconds=SHORT_SECONDS)
    open_up(breaker)
    with breaker.guard(wait_seconds=10):
        pass
    assert breakers.read_breaker(shared, "db").state == "closed"


def test_waiting_has_a_limit(shared: SharedRedis) -> None:
    breakers.set_override(shared, "db", mode="open")
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        assert seconds > 0
        now += seconds

    breaker = make(shared, clock=lambda: now, sleep=sleep)
    with pytest.raises(BreakerOpen), breaker.guard(wait_seconds=7):
        pytest.fail("the block ran")
    assert now == pytest.approx(7)


def test_overrides_hold_at_the_next_call_and_end(shared: SharedRedis) -> None:
    breaker = make(shared)
    assert not breaker.is_open()
    breakers.set_override(shared, "db", mode="open", for_seconds=60)
    assert breaker.is_open()
    override = breakers.read_breaker(shared, "db").override
    assert override is not None
    assert override.mode == "open"
    assert override.left_seconds is not None
    assert 0 < override.left_seconds <= 60
    breakers.set_override(shared, "db", mode="open", for_seconds=SHORT_SECONDS)
    wait_for(lambda: not breaker.is_open())
    open_up(breaker)
    breakers.set_override(shared, "db", mode="closed")
    assert not breaker.is_open()
    fail(breaker, 9)
    assert not breaker.is_open()
    assert breakers.clear_override(shared, "db")
    assert not breakers.clear_override(shared, "db")
    assert breaker.is_open()


def test_a_guard_sees_an_override_soon(shared: SharedRedis) -> None:
    breaker = make(shared, cache_seconds=0.05)
    with breaker:
        breakers.set_override(shared, "db", mode="open")
    time.sleep(0.1)
    with pytest.raises(BreakerOpen), breaker:
        pass


def test_the_emergencys_threshold_holds_for_every_process(shared: SharedRedis) -> None:
    breaker, elsewhere = make(shared), make(shared)
    assert (breaker.failure_threshold, elsewhere.failure_threshold) == (5, 5)
    elsewhere.failure_threshold = 20
    assert breaker.failure_threshold == 20
    fail(breaker, 19)
    assert not breaker.is_open()
    fail(breaker)
    assert breaker.is_open()
    assert breakers.read_breaker(shared, "db").threshold == 20


def test_status_lists_every_breaker_used(shared: SharedRedis) -> None:
    open_up(make(shared))
    CircuitBreaker("mail", redis=shared).is_open()
    db, mail = breakers.list_breakers(shared)
    assert (db.name, db.state, db.failures, db.opened, db.threshold) == ("db", "open", 5, 1, 5)
    assert (mail.name, mail.state, mail.failures, mail.threshold, mail.override) == ("mail", "closed", 0, None, None)


@pytest.mark.parametrize("given", [{}, {"mode": "ajar"}, {"threshold": 0}, {"mode": "open", "for_seconds": 0}], ids=str)
def test_an_override_that_cannot_be_is_refused(shared: SharedRedis, given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"override|mode|threshold|for_seconds"):
        breakers.set_override(shared, "db", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [{"failure_threshold": 0}, {"failure_threshold": 2.5}, {"reset_seconds": 0}, {"probe_seconds": -1}],
    ids=str,
)
def test_a_breaker_that_cannot_be_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(given))):
        CircuitBreaker("db", **given)  # type: ignore[arg-type]


def test_redis_away_is_closed_and_asked_now_and_then_only(away: SharedRedis) -> None:
    breaker = make(away)
    fail(breaker, 20)
    assert not breaker.is_open()
    assert breaker.counters["redis_away"] >= 20
    assert away.failures == 1  # one question went out, the others did not wait for it
    with pytest.raises(Away):
        breaker.failure_threshold = 20
    with pytest.raises(Away):
        breakers.read_breaker(away, "db")


def test_a_redis_that_hangs_holds_nobody_up_and_is_used_again_when_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    with redis_service.serve(tmp_path) as own:
        assert own.pid is not None
        now = 0.0
        shared = SharedRedis(own.url, timeout_seconds=0.2, pause_seconds=1.0, clock=lambda: now)
        breaker = make(shared, reset_seconds=60)
        open_up(breaker)
        with standing_still(own.pid):
            for _ in range(50):
                with contextlib.suppress(BreakerOpen), breaker:  # open while that is remembered, then closed
                    pass
                time.sleep(0.01)
            with breaker:
                pass
            assert shared.failures == 1  # one call waited, for all of them
        assert not breaker.is_open()
        now = 1.0
        assert breaker.is_open()
        shared.close()


def test_without_redis_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    breaker = CircuitBreaker("db")
    for _ in range(20):
        breaker.record_failure()
    assert not breaker.is_open()
    assert breaker.failure_threshold == 5


def test_redis_and_prefix_come_from_the_environment(
    redis: Redis, redis_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "topology.json").write_text(f'{{"redis_key_prefix": "{redis_prefix}"}}')
    monkeypatch.setenv(REDIS_URL_VARIABLE, redis.url)
    monkeypatch.setenv("CELERY_WORKERS_CONFIG_DIR", str(tmp_path))
    CircuitBreaker("db").record_failure()
    found = SharedRedis.from_environment()
    assert found is not None
    assert found.prefix == redis_prefix
    assert breakers.read_breaker(found, "db").failures == 1
    assert CircuitBreaker("db")._redis is found


def wait_for(condition: Callable[[], bool], *, seconds: float = 10.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)
