"""The HTTP services, on aiohttp: /ai, /judge0, /php, /storage/<kind>, /wait, and the stand-ins' own /_ paths."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from typing import TYPE_CHECKING, Any

from aiohttp import web

from examx.standins import documents, profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from examx.standins.profile import Outcome
    from examx.standins.service import Desk

BACKLOG = 1500
STOP_SECONDS = 0.5
MAX_ITEMS = 1000
MAX_BODY_BYTES = 8 * 1024 * 1024
_STATUS: dict[Outcome, int] = {"ok": 200, "error": 503, "too_many_requests": 429}

Answer = dict[str, Any]


def ai_answer(body: Answer, task_id: str) -> Answer:
    """As many items as asked for, each with a text and a score that depend on the task id only."""
    count = int(body.get("items", 1))
    if not 1 <= count <= MAX_ITEMS:
        raise ValueError(f"items is {count}; expected 1 to {MAX_ITEMS}")
    return {"items": [{"text": f"Answer {n + 1} to {task_id}", "score": _score(task_id, n)} for n in range(count)]}


def judge0_answer(body: Answer, _task_id: str) -> Answer:
    """What running the program printed (it is not run: the digest stands for its output)."""
    digest = hashlib.sha256(f"{body['source']}|{body.get('stdin', '')}".encode()).hexdigest()
    return {"status": "accepted", "stdout": digest[:16]}


def php_answer(body: Answer, task_id: str) -> Answer:
    """A score with a note."""
    return {"score": _score(task_id, int(body["student"])), "note": f"evaluated {len(body['answer'])} characters"}


def _score(task_id: str, number: int) -> float:
    return hashlib.blake2b(f"{task_id}|{number}".encode(), digest_size=1).digest()[0] / 255


ANSWERS: dict[str, Callable[[Answer, str], Answer]] = {"ai": ai_answer, "judge0": judge0_answer, "php": php_answer}


class Services:
    """The handlers. A request that waits goes on when its caller is gone, and is recorded all the same."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.add_routes(
            [
                *(web.post(f"/{name}", self._answering(name)) for name in ANSWERS),
                web.get("/storage/{kind}", self._storage),
                web.get("/wait", self._wait),
                web.get("/_journal", self._journal),
                web.get("/_profile", self._get_profile),
                web.put("/_profile", self._put_profile),
                web.get("/_health", self._health),
            ]
        )
        return app

    def _answering(self, name: str) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            task_id = _task_id(request)
            if not task_id:
                return _bad(f"/{name} needs the header Idempotency-Key")
            try:
                answer = ANSWERS[name](await request.json(), task_id)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                return _bad(f"/{name}: unusable body: {error!r}")
            return await self._served(name, task_id, lambda: web.json_response(answer))

        return handle

    async def _storage(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        if kind not in documents.KINDS:
            return _bad(f"/storage has no {kind!r}; known: {', '.join(documents.KINDS)}", status=404)
        try:
            sizes = documents.sizes_of(kind, dict(request.query))
        except documents.SizeError as error:
            return _bad(str(error))
        # In a thread: a size asked for the first time has to be made, and nobody else shall wait for that.
        content = await asyncio.to_thread(documents.make, kind, sizes)
        content_type = documents.KINDS[kind].content_type
        return await self._served(
            "storage", _task_id(request), lambda: web.Response(body=content, content_type=content_type)
        )

    async def _wait(self, request: web.Request) -> web.Response:
        """Wait as the profile says, or exactly ?seconds=."""
        asked = request.query.get("seconds")
        try:
            seconds = None if asked is None else float(asked)
        except ValueError:
            seconds = -1.0
        if seconds is not None and not 0 <= seconds <= profile.MAX_LATENCY_SECONDS:
            return _bad(f"/wait: seconds is {asked!r}; expected 0 to {profile.MAX_LATENCY_SECONDS:.0f}")
        return await self._served("wait", _task_id(request), lambda: web.json_response({}), seconds=seconds)

    async def _served(
        self, service: str, task_id: str, answer: Callable[[], web.Response], *, seconds: float | None = None
    ) -> web.Response:
        try:
            outcome = await self._desk.serve(
                service=service, kind=service, task_id=task_id, statuses=_STATUS, latency_seconds=seconds
            )
        except OSError as error:  # not recorded, so not acknowledged
            return _bad(f"the journal cannot be written: {error}", status=500)
        if outcome == "ok":
            return answer()
        wait = self._desk.profile.services[service].retry_after_seconds
        headers = {"Retry-After": f"{wait:g}"} if outcome == "too_many_requests" else {}
        return web.json_response({"error": outcome}, status=_STATUS[outcome], headers=headers)

    async def _journal(self, request: web.Request) -> web.Response:
        offset = request.query.get("offset", "0")
        if not offset.isascii() or not offset.isdigit():
            return _bad(f"/_journal: offset is {offset!r}; expected a number of bytes")
        return web.Response(body=self._desk.journal.read(int(offset)), content_type="application/x-ndjson")

    async def _get_profile(self, _request: web.Request) -> web.Response:
        return web.json_response(self._desk.profile.as_document())

    async def _put_profile(self, request: web.Request) -> web.Response:
        """Change the profile for requests that come from now on; services left out stay as they are."""
        try:
            document = json.loads(await request.text())
            self._desk.profile = profile.parse(document, name="/_profile", base=self._desk.profile)
        except ValueError as error:
            return _bad(str(error))
        return web.json_response(self._desk.profile.as_document())

    async def _health(self, _request: web.Request) -> web.Response:
        counts = dict(sorted(self._desk.journal.counts.items()))
        return web.json_response({"status": "ok", "in_progress": self._desk.in_progress, "recorded": counts})


async def start(desk: Desk, listener: socket.socket) -> web.AppRunner:
    """Serve HTTP on a bound socket."""
    runner = web.AppRunner(Services(desk).application(), access_log=None, shutdown_timeout=STOP_SECONDS)
    await runner.setup()
    await web.SockSite(runner, listener, backlog=BACKLOG).start()
    return runner


def _task_id(request: web.Request) -> str:
    return request.headers.get("Idempotency-Key", "")


def _bad(message: str, *, status: int = 400) -> web.Response:
    return web.json_response({"error": message}, status=status)
