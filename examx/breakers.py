"""Circuit breakers of what the application depends on, one for its database and one for each of its services.

Where CELERY_WORKERS_REDIS_URL names no Redis there are none. A task waits for an open one as it waits for a service
that refuses: asleep, its message unacknowledged (examx.retry).
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from examx.retry import BusyError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from celery_workers.breaker import CircuitBreaker

T = TypeVar("T")

# celery_workers.topology.REDIS_URL_VARIABLE; the library would bring Celery to those who only read effects.
REDIS_URL_VARIABLE = "CELERY_WORKERS_REDIS_URL"
RESET_SECONDS = 5.0
PROBE_SECONDS = 90.0
"""Above the longest call: 65 s to a service."""
WAIT_SECONDS = 30.0
"""How long one try waits for an open breaker; with the 200 s of retry.Policy and a call's own 65 s below the classes'
hard time limit of 300 s."""


def guarded(name: str, step: Callable[[], T]) -> T:
    """The result of `step`, made under the breaker `name`. TemporaryError, also where it stays open.

    A TemporaryError of the step counts as a failure; a BusyError and a result say that the dependency is there.
    """
    if not os.environ.get(REDIS_URL_VARIABLE):
        return step()
    from celery_workers.breaker import BreakerOpen

    try:
        with _breaker(name).guard(wait_seconds=WAIT_SECONDS):
            return step()
    except BreakerOpen as error:
        raise TemporaryError(str(error)) from error


def is_open(name: str) -> float | None:
    """How many seconds the breaker `name` stays open at least; None where calls are let through. Takes no probe."""
    if not os.environ.get(REDIS_URL_VARIABLE):
        return None
    return _breaker(name).open_seconds()


@cache
def _breaker(name: str) -> CircuitBreaker:
    from celery_workers.breaker import CircuitBreaker

    return CircuitBreaker(
        name,
        failures=(TemporaryError,),
        excluded=(BusyError,),
        reset_seconds=RESET_SECONDS,
        probe_seconds=PROBE_SECONDS,
    )
