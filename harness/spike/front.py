"""Offering tasks to a web front over HTTP, with the outcomes a publisher has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import urllib3
from celery import uuid

from celery_workers import PublishError, QueueFull, Unconfirmed, Unreachable

TIMEOUT = urllib3.Timeout(connect=5.0, read=15.0)
_ACCEPTED, _TOO_MANY_REQUESTS, _UNAVAILABLE, _GATEWAY_TIMEOUT = 202, 429, 503, 504


class FrontClient:
    """Stands where a `celery_workers.Publisher` does. 429 and 503 are refusals, to be retried; no answer is a doubt."""

    def __init__(self, url: str, *, connections: int) -> None:
        self._url = url
        self._http = urllib3.PoolManager(maxsize=connections, block=True, retries=False, timeout=TIMEOUT)

    def attempt(self, task: str, *, kwargs: Mapping[str, Any] | None = None, task_id: str | None = None) -> str:
        """Offer a task once, its id being the Idempotency-Key. Raises PublishError."""
        task_id = task_id or uuid()
        who: dict[str, Any] = {"task": task, "task_id": task_id, "queue": "behind the web front"}
        headers = {"Idempotency-Key": task_id, "Content-Type": "application/json"}
        try:
            answer = self._http.request(
                "POST", f"{self._url}/tasks/{task}", body=json.dumps(kwargs or {}).encode(), headers=headers
            )
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
            raise Unreachable("no connection to the web front", **who) from error
        except urllib3.exceptions.HTTPError as error:
            raise Unconfirmed(f"no answer from the web front: {type(error).__name__}", **who) from error
        if answer.status == _ACCEPTED:
            return task_id
        raise _verdict(answer.status, answer.data, who)

    def close(self) -> None:
        """Close the connections."""
        self._http.clear()


def _verdict(status: int, body: bytes, who: Mapping[str, Any]) -> PublishError:
    said = _parsed(body)
    reason = f"the web front answered {status}: {'; '.join(map(str, said.get('errors', ())))}"
    if status in (_TOO_MANY_REQUESTS, _UNAVAILABLE):
        return QueueFull(reason, **who, stored=bool(said.get("stored")))
    if status == _GATEWAY_TIMEOUT:
        return Unconfirmed(reason, **who)
    return PublishError(reason, **who)


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:  # a proxy's own page
        return {}
    return found if isinstance(found, dict) else {}
