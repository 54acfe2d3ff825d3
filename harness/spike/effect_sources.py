"""Where a load generator learns that tasks are done: from their effects, or else from Celery's events."""

from __future__ import annotations

import json
import logging
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from celery import Celery

from harness.errors import InputError
from harness.spike.journals import SUCCESS
from harness.spike.tracking import Sighting

HTTP_TIMEOUT_SECONDS = 5.0
RECONNECT_SECONDS = 1.0
_log = logging.getLogger(__name__)


class EffectSource(Protocol):
    """Tells which tasks have ended since it was last asked."""

    def poll(self) -> list[Sighting]:
        """Return the new ends, in any order; one that cannot be asked now returns none and is asked again."""


def parse_effects(text: str) -> list[EffectSource]:
    """Read SPIKE_EFFECTS: JSON with `standins_url`, `database_url` or both. Raises InputError."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InputError(f"SPIKE_EFFECTS is not JSON: {error}") from error
    known: dict[str, Callable[[str], EffectSource]] = {"standins_url": DeliveredMails, "database_url": Markers}
    if not isinstance(document, Mapping) or not document or set(document) - set(known):
        raise InputError(f"SPIKE_EFFECTS must be a JSON object with {' and '.join(known)}, not {text}")
    for key, value in document.items():
        if not isinstance(value, str) or not value:
            raise InputError(f"SPIKE_EFFECTS: {key} must be a URL, not {value!r}")
    return [known[key](value) for key, value in document.items()]


class DeliveredMails:
    """The mails that reached the stand-in SMTP sink, read from its journal as it grows."""

    def __init__(self, url: str) -> None:
        self._url = f"{url.rstrip('/')}/_journal"
        self._offset = 0
        # A proxy for the outside must not get between us and the stand-ins.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def poll(self) -> list[Sighting]:
        """Return the mails taken since the last call."""
        try:
            query = urlencode({"offset": self._offset})
            with self._opener.open(f"{self._url}?{query}", timeout=HTTP_TIMEOUT_SECONDS) as answer:
                body: bytes = answer.read()
        except (OSError, urllib.error.URLError) as error:
            _log.warning("the stand-ins' journal cannot be read: %s", error)
            return []
        whole = body[: body.rfind(b"\n") + 1]  # a line may still be in the writing
        self._offset += len(whole)
        return list(_mails(whole))


def _mails(lines: bytes) -> Iterator[Sighting]:
    for line in lines.splitlines():
        entry = json.loads(line)
        if entry["kind"] == "mail" and entry["status"] in SUCCESS:
            yield Sighting(entry["id"], entry["t"])


class Markers:
    """The rows and files of the reference application, by its table of markers."""

    def __init__(self, database_url: str) -> None:
        # Imported here: a load without SPIKE_EFFECTS needs nothing of the reference application.
        from examx import database, effects

        self._markers_after = effects.markers_after
        self._away = database.AwayError
        self._database_url = database_url
        self._cursor = 0

    def poll(self) -> list[Sighting]:
        """Return the rows and files made since the last call."""
        found: list[Sighting] = []
        try:
            while markers := self._markers_after(self._cursor, database_url=self._database_url):
                self._cursor = markers[-1].seq
                # A mail's marker is written after the mail; that the sink has it is what counts.
                found += [Sighting(marker.task_id, marker.created_at) for marker in markers if marker.kind != "mail"]
        except self._away as error:
            _log.warning("the application's markers cannot be read: %s", error)
        return found


class CeleryEvents:
    """The workers' own word, for a load on an application whose effects are not known. Needs workers with -E.

    `run` receives until it is stopped and belongs in a greenlet or thread of its own. Events sent before `ready` is
    set, or while the connection is away, are not seen.
    """

    def __init__(self, app: Celery, *, clock: Callable[[], float] = time.time) -> None:
        self._app = app
        self._clock = clock
        self._seen: deque[Sighting] = deque()
        self.received = 0
        self.ready = threading.Event()

    def poll(self) -> list[Sighting]:
        """Return the tasks that ended since the last call."""
        return [self._seen.popleft() for _ in range(len(self._seen))]

    def run(self) -> None:
        """Receive events, connecting again when the connection is lost. Ends only when its greenlet is killed."""
        handlers = {"task-succeeded": self._succeeded, "task-failed": self._failed, "task-rejected": self._failed}
        while True:
            try:
                with self._app.connection_for_read() as connection:
                    receiver = self._app.events.Receiver(connection, handlers=handlers)
                    receiver.on_consume_ready = self._listens
                    receiver.capture(wakeup=False)
            except (*connection.connection_errors, *connection.channel_errors) as error:
                _log.warning("no Celery events: %s", error)
                time.sleep(RECONNECT_SECONDS)

    def _listens(self, *_: Any, **__: Any) -> None:
        self.ready.set()

    def _succeeded(self, event: Mapping[str, Any]) -> None:
        self._note(event, "")

    def _failed(self, event: Mapping[str, Any]) -> None:
        self._note(event, str(event.get("exception") or event["type"]))

    def _note(self, event: Mapping[str, Any], error: str) -> None:
        self.received += 1
        # Our clock, not the worker's: the other end of the measure, the first attempt, is ours too.
        self._seen.append(Sighting(event["uuid"], self._clock(), error))
