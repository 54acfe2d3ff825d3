"""Done markers: what has been done under a key is not done again for as long as the marker lives.

Needs the extra `redis`. For effects that carry no unique key of their own, as a mail:

    sent = DoneMarkers("invitations", claim_seconds=330)

    @app.task
    @sent.task                               # by the task's id: a redelivered message does nothing
    def invite(address): ...

    with sent.once(f"invite/{customer}") as first:
        if first: ...

It is no transaction: a process that dies after the effect and before its marker does the effect again. And where Redis
is away nothing is known to be done. An effect that must never be doubled needs a unique key where it is made.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from celery import current_task

from celery_workers.counters import Counters
from celery_workers.shared import Away, SharedRedis

NAMES = (
    "done",  # claims that found it done
    "busy",  # claims that gave up because another process was at it
    "redis_away",  # claims let through, and markers not written, because Redis did not answer
)
POLL_SECONDS = 0.5

_DONE = b"done"
_CLAIM = """
local found = redis.call('GET', KEYS[1])
if not found then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', tonumber(ARGV[2]))
  return {'claimed', 0}
end
if found == 'done' then return {'done', 0} end
return {'busy', redis.call('PTTL', KEYS[1])}
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

P = ParamSpec("P")
R = TypeVar("R")
_log = logging.getLogger(__name__)


class InProgress(Exception):  # noqa: N818 - a caller reads `except InProgress` as what happened
    """Another process is at it. `retry_after_seconds` is when its claim ends at the latest."""

    def __init__(self, key: str, *, retry_after_seconds: float) -> None:
        super().__init__(f"{key!r} is being done elsewhere, for {retry_after_seconds:.1f} s more at most")
        self.key = key
        self.retry_after_seconds = retry_after_seconds


class DoneMarkers:
    """Markers of one kind of work, `name`, shared by every process that gives its name.

    Who begins claims the key for `claim_seconds`, which must be longer than the longest run: the claim of a run that
    died ends then, and the next may begin. A run that fails gives its claim back at once. Markers live `done_seconds`;
    a repetition later than that is done again. `redis` defaults to the one of CELERY_WORKERS_REDIS_URL; without one
    nothing is ever known to be done. Safe under threads, greenlets and fork.
    """

    def __init__(
        self,
        name: str,
        *,
        redis: SharedRedis | None = None,
        claim_seconds: float = 600.0,
        done_seconds: float = 24 * 3600.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        for option, value in (("claim_seconds", claim_seconds), ("done_seconds", done_seconds)):
            if value < 0.001:
                raise ValueError(f"{option} must be at least 0.001, not {value:g}")
        self.name = name
        self.counters = Counters(NAMES)
        self._claim_ms = round(claim_seconds * 1000)
        self._done_ms = round(done_seconds * 1000)
        self._redis = redis or SharedRedis.from_environment()
        self._clock = clock
        self._sleep = sleep

    @contextlib.contextmanager
    def once(self, key: str, *, wait_seconds: float | None = None) -> Iterator[bool]:
        """A block that is told whether it is the one to do it; when it ends without an exception, it is done.

        While another process is at it, its end is waited for: up to `wait_seconds`, by default as long as a claim can
        last, 0 for not at all. Then InProgress.
        """
        token = secrets.token_hex(8)
        limit_seconds = self._claim_ms / 1000 + POLL_SECONDS if wait_seconds is None else wait_seconds
        if not self._claim(key, token, limit_seconds):
            yield False
            return
        try:
            yield True
        except BaseException:
            self._tell(lambda redis: redis.run(_RELEASE, [self._key(key)], [token]))
            raise
        self._tell(lambda redis: redis.ask(lambda client: client.set(self._key(key), _DONE, px=self._done_ms)))

    def is_done(self, key: str) -> bool:
        """Whether a marker says so; False where Redis is away."""
        return self._tell(lambda redis: redis.ask(lambda client: client.get(self._key(key)))) == _DONE

    def task(self, function: Callable[P, R]) -> Callable[P, R | None]:
        """As a decorator below `app.task`: a delivery of a message that was worked off before returns None at once.

        The key is the task's id. Called as a plain function it always runs.
        """

        @functools.wraps(function)
        def once(*args: P.args, **kwargs: P.kwargs) -> R | None:
            task_id = current_task.request.id if current_task else None
            if task_id is None:
                return function(*args, **kwargs)
            with self.once(task_id) as first:
                return function(*args, **kwargs) if first else None

        return once

    def _claim(self, key: str, token: str, wait_seconds: float) -> bool:
        ends_at = self._clock() + wait_seconds
        while True:
            answer = self._tell(lambda redis: redis.run(_CLAIM, [self._key(key)], [token, self._claim_ms]))
            if answer is None or answer[0] == b"claimed":
                return True
            if answer[0] == b"done":
                self.counters.add("done")
                return False
            left_seconds = ends_at - self._clock()
            if left_seconds <= 0:
                self.counters.add("busy")
                raise InProgress(key, retry_after_seconds=max(answer[1], 0) / 1000)
            self._sleep(min(POLL_SECONDS, left_seconds))

    def _tell(self, question: Callable[[SharedRedis], R]) -> R | None:
        if self._redis is None:
            return None
        try:
            return question(self._redis)
        except Away:
            self.counters.add("redis_away")
            return None

    def _key(self, key: str) -> str:
        assert self._redis is not None
        return self._redis.key("done", f"{self.name}:{key}")
