"""HTTP calls to the services: AI, Judge0, the PHP API, storage.

urllib3's pool rather than httpx's: with 200 calls at once on one pool httpx 0.28 answered 65 calls a second and used
a whole core (its pool looks through all connections for every call); urllib3 costs 0.25 ms of CPU a call.
"""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3

from examx import breakers, retry, settings

TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)
CONNECTIONS = 256
"""Kept connections a process; above a gevent worker's 200 tasks."""
POLICY = retry.Policy()
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_CLIENT_ERROR = 400

_pools: dict[int, urllib3.PoolManager] = {}


class RefusedError(Exception):
    """The service said no for good (a 4xx other than 429)."""


def post(service: str, body: dict[str, Any], *, task_id: str) -> Any:
    """POST `body` as JSON and return the JSON answer. The Idempotency-Key is the task id, also when trying again."""
    answer = _call("POST", f"/{service}", task_id=task_id, body=json.dumps(body).encode())
    return json.loads(answer)


def fetch(kind: str, *, task_id: str, **size: int) -> bytes:
    """A document from storage; `size` holds its dimensions (rows, pages, ...)."""
    return _call("GET", f"/storage/{kind}?{urlencode(size)}", task_id=task_id)


def wait(*, task_id: str, seconds: float | None = None) -> None:
    """Wait for the slow service: as long as it is set to take, or `seconds`."""
    _call("GET", "/wait" if seconds is None else f"/wait?{urlencode({'seconds': seconds})}", task_id=task_id)


def _call(method: str, path: str, *, task_id: str, body: bytes | None = None) -> bytes:
    """The body of a 2xx answer. 429 (after Retry-After), 5xx and lost connections are tried again, bounded.

    5xx and lost connections count for the service's circuit breaker.
    """
    url = settings.current().services_url + path
    breaker = f"service-{urlsplit(path).path.split('/')[1]}"
    return retry.call(lambda: breakers.guarded(breaker, lambda: _call_once(method, url, task_id, body)), policy=POLICY)


def _call_once(method: str, url: str, task_id: str, body: bytes | None) -> bytes:
    headers = {"Idempotency-Key": task_id, "Content-Type": "application/json"}
    try:
        answer = _pool().request(method, url, body=body, headers=headers, timeout=TIMEOUT, retries=False)
    except urllib3.exceptions.HTTPError as error:
        raise retry.TemporaryError(f"{method} {url}: {error}") from error
    if answer.status == _TOO_MANY_REQUESTS or answer.status >= _SERVER_ERROR:
        asked = _retry_after(answer.headers.get("Retry-After"))
        kind = retry.BusyError if answer.status == _TOO_MANY_REQUESTS else retry.TemporaryError
        raise kind(f"{method} {url}: {answer.status}", retry_after_seconds=asked)
    if answer.status >= _CLIENT_ERROR:
        raise RefusedError(f"{method} {url}: {answer.status} {answer.data[:200]!r}")
    return answer.data


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header; its date form is rare for 429 and treated as not given."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _pool() -> urllib3.PoolManager:
    pid = os.getpid()  # a forked child must not share its parent's connections
    if pid not in _pools:
        _pools[pid] = urllib3.PoolManager(maxsize=CONNECTIONS, num_pools=4)
    return _pools[pid]
