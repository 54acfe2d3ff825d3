"""Circuit breakers: a dependency that fails again and again is left alone for a while, by all processes together.

Needs the extra `redis`. One breaker stands for one dependency, as one database:

    orders = CircuitBreaker("orders-db", failures=(OperationalError,))

    @app.task
    @orders.guard_task(wait_seconds=120)     # waits while the breaker is open, then does its work
    def book(order): ...

    with orders: ...                         # raises BreakerOpen at once
    if orders.is_open(): ...                 # by hand, with record_success() and record_failure()

Counted are failures in a row, as they reach Redis, whichever process had them; a success starts the count anew. At
`failure_threshold` the breaker opens for `reset_seconds`. Then one caller of all processes tries (half-open): its
success closes the breaker, its failure opens it again, and when it says nothing for `probe_seconds` another one tries.
How calls end that began before the opening changes nothing.

Where Redis is away, or none is configured, a breaker is closed: it then protects nothing and hinders nobody.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from celery import current_task
from celery.exceptions import Reject, TaskPredicate

from celery_workers.backoff import Uniform
from celery_workers.breaker_overrides import (
    BreakerStatus,
    Override,
    clear_override,
    list_breakers,
    read_breaker,
    set_override,
)
from celery_workers.breaker_store import Answer, BreakerStore, Outcome
from celery_workers.counters import Counters
from celery_workers.shared import Away, SharedRedis

__all__ = [
    "BreakerOpen",
    "BreakerStatus",
    "CircuitBreaker",
    "Override",
    "clear_override",
    "list_breakers",
    "read_breaker",
    "set_override",
]

NAMES = (
    "refused",  # calls that were told the breaker is open
    "opened",  # openings by a failure of this process
    "closed",  # closings by a probe of this process
    "redis_away",  # calls let through, and endings not counted, because Redis did not answer
)
POLL_SECONDS = 1.0  # how long somebody who waits sleeps at most before asking again
TASK_WAIT_SECONDS = 120.0

P = ParamSpec("P")
R = TypeVar("R")
_log = logging.getLogger(__name__)


class BreakerOpen(Exception):  # noqa: N818 - a caller reads `except BreakerOpen` as what happened
    """The breaker is open; nothing was tried. `retry_after_seconds` is when asking again can help."""

    def __init__(self, breaker: str, *, retry_after_seconds: float) -> None:
        super().__init__(f"circuit breaker {breaker!r} is open, for {retry_after_seconds:.1f} s more")
        self.breaker = breaker
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True)
class _Known:
    """What Redis said last: until when it counts as open (None: closed), and the failures in a row."""

    at: float
    open_until: float | None
    failures: int


class CircuitBreaker:
    """One dependency's breaker, the same in every process that gives its name.

    `redis` defaults to the one of CELERY_WORKERS_REDIS_URL; without one the breaker is always closed. `failures` are
    the exceptions that count; one of `excluded` says that the dependency answered and counts as a success (a violated
    constraint, say); any other says nothing. `probe_seconds` should be longer than the longest call.

    Guards (`guard`, `guard_task`, `with`, decorator) believe what Redis said for `cache_seconds`, so that 200 greenlets
    do not ask for each call: another process's opening, or an override, is seen that much later, and a success of such
    a call is not reported while no failure is known. Failures are always reported, and `is_open`, `record_success` and
    `record_failure` always ask. Safe under threads, greenlets and fork; no lock is held while a call runs.
    """

    def __init__(
        self,
        name: str,
        *,
        redis: SharedRedis | None = None,
        failure_threshold: int = 5,
        reset_seconds: float = 30.0,
        probe_seconds: float = 60.0,
        failures: tuple[type[Exception], ...] = (Exception,),
        excluded: tuple[type[Exception], ...] = (),
        cache_seconds: float = 0.1,
        rng: Uniform | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        for option, value in (("reset_seconds", reset_seconds), ("probe_seconds", probe_seconds)):
            if not 0 < value < math.inf:
                raise ValueError(f"{option} must be above 0, not {value}")
        self.name = name
        self.counters = Counters(NAMES)
        self._threshold = _checked(failure_threshold)
        self._failures = failures
        self._excluded = excluded
        self._cache_seconds = cache_seconds
        self._rng = rng or random.Random()
        self._clock = clock
        self._sleep = sleep
        self._redis = redis or SharedRedis.from_environment()
        self._store = (
            None
            if self._redis is None
            else BreakerStore(self._redis, name, reset_seconds=reset_seconds, probe_seconds=probe_seconds)
        )
        self._known: _Known | None = None
        self._asking_until = -math.inf
        self._resetting = False  # a success is on its way to Redis, and no failure after it
        self._local = threading.local()  # of each thread or greenlet: its probe, its open `with` blocks

    @property
    def failure_threshold(self) -> int:
        """At how many failures in a row it opens; an override's figure while there is one.

        Setting it is an emergency's override: it holds for every process at once, until `clear_override`, and raises
        Away when Redis did not take it. Without Redis it has no effect. What a program always wants it gives to the
        constructor.
        """
        if self._redis is None:
            return self._threshold
        try:
            override = read_breaker(self._redis, self.name).override
        except Away:
            return self._threshold
        return (override and override.threshold) or self._threshold

    @failure_threshold.setter
    def failure_threshold(self, value: int) -> None:
        if self._redis is None:
            self._threshold = _checked(value)
        else:
            set_override(self._redis, self.name, threshold=_checked(value))
            self._known = None

    def is_open(self) -> bool:
        """Whether to leave the dependency alone now.

        False is a permit for one call of this thread or greenlet, whose end is then to be recorded: where the breaker
        is half-open, nobody else gets one meanwhile.
        """
        return self._admission(exact=True) is not None

    def open_seconds(self) -> float | None:
        """How many seconds it stays open at least, None when calls are let through or one may try.

        Only looks, where `is_open` takes a permit: for those who do not call the dependency themselves, as a web server
        that would rather not accept work for it.
        """
        if self._redis is None:
            return None
        try:
            status = read_breaker(self._redis, self.name)
        except Away:
            self.counters.add("redis_away")
            return None
        return status.retry_after_seconds if status.state == "open" else None

    def record_success(self) -> None:
        """Say that a call went well."""
        self._record("success", self._take_probe(), exact=True)

    def record_failure(self) -> None:
        """Say that a call failed."""
        self._record("failure", self._take_probe())

    @contextlib.contextmanager
    def guard(self, *, wait_seconds: float = 0.0) -> Iterator[None]:
        """A block (or, as a decorator, a function) that runs only while the breaker lets it; how it ends is recorded.

        An open breaker is waited for up to `wait_seconds`, asleep; then BreakerOpen.
        """
        self._wait_until_admitted(wait_seconds)
        with self._recorded(self._take_probe()):
            yield

    @contextlib.contextmanager
    def guard_task(self, *, wait_seconds: float = TASK_WAIT_SECONDS) -> Iterator[None]:
        """As `guard`, for what a Celery task does: a task that has waited in vain goes back to its queue.

        While it waits, its message is unacknowledged and keeps its place whatever happens to the worker. Not a retry of
        Celery's: that is a new message, which a full queue refuses, and its countdown holds up other tasks. Going back
        needs late acknowledgement; a task without it raises BreakerOpen. Keep `wait_seconds` below the task's time
        limit. A waiting task holds its slot: next to nothing on gevent and threads, a whole child on prefork.
        """
        try:
            self._wait_until_admitted(wait_seconds)
        except BreakerOpen as error:
            if _may_go_back():
                raise Reject(str(error), requeue=True) from error
            raise
        with self._recorded(self._take_probe()):
            yield

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """As a decorator: guard each call of the function, without waiting."""

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.guard():
                return function(*args, **kwargs)

        return guarded

    def __enter__(self) -> CircuitBreaker:
        block = self.guard()
        block.__enter__()
        self._blocks().append(block)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._blocks().pop().__exit__(kind, error, trace)

    def _blocks(self) -> list[AbstractContextManager[None]]:
        blocks: list[AbstractContextManager[None]] | None = getattr(self._local, "blocks", None)
        if blocks is None:
            blocks = self._local.blocks = []
        return blocks

    def _wait_until_admitted(self, wait_seconds: float) -> None:
        ends_at = self._clock() + wait_seconds
        while (retry_after_seconds := self._admission()) is not None:
            left_seconds = ends_at - self._clock()
            if left_seconds <= 0:
                raise BreakerOpen(self.name, retry_after_seconds=retry_after_seconds)
            # Shortened by chance, so that those who wait do not come back together.
            pause_seconds = min(retry_after_seconds, POLL_SECONDS) * (1 - 0.5 * self._rng.random())
            self._sleep(min(max(pause_seconds, 0.01), left_seconds))

    @contextlib.contextmanager
    def _recorded(self, probe: str) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._record(self._outcome(error), probe)
            raise
        self._record("success", probe)

    def _outcome(self, error: BaseException) -> Outcome:
        if isinstance(error, BreakerOpen | TaskPredicate):  # another dependency's, or Celery's way to say what next
            return "release"
        if isinstance(error, self._excluded):
            return "success"
        return "failure" if isinstance(error, self._failures) else "release"

    def _admission(self, *, exact: bool = False) -> float | None:
        """None: a call may be made. Otherwise the seconds after which asking again can help."""
        if self._store is None:
            return None
        if not exact and (known := self._believed()) is not None:
            return self._counted(None if known.open_until is None else max(known.open_until - self._clock(), 0.0))
        token = getattr(self._local, "probe", "") or secrets.token_hex(8)
        answer = self._ask(lambda store: store.admit(token))
        if answer is None or answer.state == "closed":
            return None
        if answer.probe:
            self._local.probe = token
            return None
        return self._counted(answer.wait_seconds)

    def _counted(self, wait_seconds: float | None) -> float | None:
        if wait_seconds is not None:
            self.counters.add("refused")
        return wait_seconds

    def _record(self, outcome: Outcome, probe: str, *, exact: bool = False) -> None:
        if self._store is None or (outcome == "release" and not probe):
            return
        plain_success = outcome == "success" and not probe and not exact
        if plain_success and (self._resetting or self._nothing_to_reset()):
            return
        self._resetting = plain_success  # a failure from now on needs a success after it
        try:
            answer = self._ask(lambda store: store.record(outcome, threshold=self._threshold, token=probe))
        finally:
            if plain_success:
                self._resetting = False
        if answer is not None and answer.changed:
            self.counters.add("opened" if answer.state == "open" else "closed")
            _log.warning("circuit breaker %s: %s after %d failures", self.name, answer.state, answer.failures)

    def _nothing_to_reset(self) -> bool:
        known = self._believed()
        return known is not None and known.open_until is None and known.failures == 0

    def _believed(self) -> _Known | None:
        """What Redis said a moment ago; a little longer for a closed breaker while somebody here asks anew."""
        known, now = self._known, self._clock()
        if known is None:
            return None
        if now - known.at < self._cache_seconds:
            return known if known.open_until is None or now < known.open_until else None
        return known if known.open_until is None and now < self._asking_until else None

    def _ask(self, question: Callable[[BreakerStore], Answer]) -> Answer | None:
        """What Redis says, remembered; None when it is away."""
        assert self._store is not None
        self._asking_until = self._clock() + 1.0
        try:
            answer = question(self._store)
        except Away:
            self._known = None
            self.counters.add("redis_away")
            return None
        finally:
            self._asking_until = -math.inf
        now = self._clock()
        if answer.state == "half-open":  # who may try, only Redis can say
            self._known = None
        else:
            open_until = now + answer.wait_seconds if answer.state == "open" else None
            self._known = _Known(now, open_until, answer.failures)
        return answer

    def _take_probe(self) -> str:
        """The token of the probe this thread or greenlet was let make, which is then spoken for; or nothing."""
        probe: str = getattr(self._local, "probe", "")
        self._local.probe = ""
        return probe


def _checked(threshold: Any) -> int:
    if not isinstance(threshold, int) or threshold < 1:
        raise ValueError(f"failure_threshold must be a whole number of at least 1, not {threshold!r}")
    return threshold


def _may_go_back() -> bool:
    """Whether we run inside a task whose message is still unacknowledged."""
    task = current_task._get_current_object() if current_task else None
    if task is None or task.request.called_directly or task.request.is_eager:
        return False
    return bool(task.acks_late)
