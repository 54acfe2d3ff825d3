"""The front as a WSGI application: POST a task, get its id once the broker has it.

202 {"id"}: the broker has confirmed it. 429 and 503, with Retry-After: it is nowhere, offer it again later (but where
the answer says "stored", the broker kept it in the dead-letter queue). 504: nobody knows; offer it again with the same
Idempotency-Key, which is the task's id, and its work is done once. 400 and 413: it will never be taken.
"""

from __future__ import annotations

import math
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from celery_workers import PublishError, QueueFull, Unconfirmed, Unreachable
from celery_workers.rate_limits import RateLimited
from examx import breakers, database, settings
from examx.catalogue import TASKS
from examx.tasks.base import PARAMETERS
from examx.web import payload

if TYPE_CHECKING:
    from celery_workers import Publisher
    from celery_workers.rate_limits import RateLimit

LARGEST_BODY_BYTES = 64 * 1024
FULL_RETRY_SECONDS = 1
"""Retry-After of a full queue: how fast it empties nobody here knows, so callers add their own backoff."""


def make_front(publisher: Publisher, *, rate_limit: RateLimit | None = None) -> Flask:
    """The application. It makes one attempt a request: who waits, and how long, is the caller's choice.

    `rate_limit` counts by the caller's address, so behind a proxy that must be the real one.
    """
    front = Flask("examx")
    front.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY_BYTES
    answers: Counter[int] = Counter()

    @front.post("/tasks/<name>")
    def offer(name: str) -> Response:
        if rate_limit is not None:
            rate_limit.check(request.remote_addr or "")
        task_id, arguments = _read(name)
        _refuse_what_waits(name)
        publisher.attempt(name, kwargs=arguments, task_id=task_id)
        return _answer(202, id=task_id)

    @front.get("/healthz")
    def health() -> Response:
        return _answer(200, ok=True)

    @front.get("/metrics")
    def metrics() -> Response:
        return _metrics(publisher, answers)

    for kind, handler in _HANDLERS.items():
        front.register_error_handler(kind, handler)

    @front.after_request
    def count(response: Response) -> Response:
        answers[response.status_code] += 1
        return response

    return front


class _Refused(Exception):  # noqa: N818 - says what happened
    """The request is answered with this."""

    def __init__(self, status: int, errors: list[str], *, retry_after_seconds: float | None = None) -> None:
        super().__init__("; ".join(errors))
        self.status = status
        self.errors = errors
        self.retry_after_seconds = retry_after_seconds


def _read(name: str) -> tuple[str, dict[str, Any]]:
    """The request's task id and arguments."""
    if name not in TASKS:
        raise _Refused(400, ["no such task"])
    task_id = request.headers.get("Idempotency-Key") or str(uuid.uuid4())
    if not payload.is_task_id(task_id):
        raise _Refused(400, ["Idempotency-Key: expected up to 128 letters, digits, '.', '_' and '-'"])
    arguments: Any = {}
    if request.get_data():
        try:
            arguments = request.get_json(force=True)
        except RecursionError as error:
            raise _Refused(400, ["the body is nested too deeply"]) from error
    found = payload.problems(PARAMETERS[name], arguments)
    if found:
        raise _Refused(400, found)
    return task_id, arguments


def _refuse_what_waits(name: str) -> None:
    """Take no work for what is away: it would only fill the queue."""
    needed = [database.breaker_name(settings.current().database_url)]
    if TASKS[name].service != "database":
        needed.append(f"service-{TASKS[name].service}")
    for breaker in filter(None, needed):
        seconds = breakers.is_open(breaker)
        if seconds is not None:
            raise _Refused(503, [f"{breaker} is away"], retry_after_seconds=seconds)


def _answer(status: int, *, retry_after_seconds: float | None = None, **body: Any) -> Response:
    response = jsonify(body)
    response.status_code = status
    if retry_after_seconds is not None:
        response.headers["Retry-After"] = str(max(math.ceil(retry_after_seconds), 1))
    return response


def _refused(error: _Refused) -> Response:
    return _answer(error.status, retry_after_seconds=error.retry_after_seconds, errors=error.errors)


def _limited(error: RateLimited) -> Response:
    return _answer(429, retry_after_seconds=error.retry_after_seconds, errors=[f"more than {error.rate}"])


def _not_published(error: PublishError) -> Response:
    if isinstance(error, QueueFull):
        wait = None if error.stored else FULL_RETRY_SECONDS
        return _answer(503, retry_after_seconds=wait, errors=["the queue is full"], stored=error.stored)
    if isinstance(error, Unreachable):
        return _answer(503, retry_after_seconds=FULL_RETRY_SECONDS, errors=["the broker cannot be reached"])
    if isinstance(error, Unconfirmed):
        return _answer(504, errors=["the broker did not answer: offer it again with the same Idempotency-Key"])
    return _answer(500, errors=["the broker does not take it"])


def _http_error(error: HTTPException) -> Response:
    return _answer(error.code or 500, errors=[error.name])


_HANDLERS: dict[type[Exception], Any] = {
    _Refused: _refused,
    RateLimited: _limited,
    PublishError: _not_published,
    HTTPException: _http_error,
}


def _metrics(publisher: Publisher, answers: Counter[int]) -> Response:
    """What Prometheus reads; 404 where prometheus-client is not installed."""
    try:
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.metrics_core import CounterMetricFamily
    except ImportError:
        return _answer(404, errors=["install prometheus-client for metrics"])

    class Collector:
        def collect(self) -> list[CounterMetricFamily]:
            answered = CounterMetricFamily("examx_web_answers", "Answers by HTTP status.", labels=["status"])
            for status, count in sorted(answers.items()):
                answered.add_metric([str(status)], count)
            offered = CounterMetricFamily("examx_web_publishing", "What the publisher saw.", labels=["outcome"])
            for outcome, count in publisher.counters.items():
                offered.add_metric([outcome], count)
            return [answered, offered]

    registry = CollectorRegistry()
    registry.register(Collector())
    return Response(generate_latest(registry), content_type="text/plain; version=0.0.4")
