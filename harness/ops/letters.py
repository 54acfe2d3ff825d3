"""Dead letters: why each died, which are meant, and what to do with one that may have been put back before. Pure."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from harness.broker.stats import WORKERS_HEADER

REPLAYS_HEADER = "x-celery-workers-replays"
# RabbitMQ's words about an earlier death: a message that goes back begins anew.
OLD_HEADERS = ("x-death", "x-delivery-count", WORKERS_HEADER)
OLD_PREFIXES = ("x-first-death-", "x-last-death-")
# Of the user who published it, and of a life that is over.
OLD_PROPERTIES = ("user_id", "expiration", "application_headers")
SHOWN_CHARACTERS = 200

Event = Literal["intent", "confirmed", "refused"]
Verdict = Literal["replay", "remove", "hold"]


@dataclass(frozen=True)
class Letter:
    """One message of a dead-letter queue. `died_at` is seconds since the epoch, None where nobody says.

    `key` tells this message from every other one, also from the same task's after another life: what a journal says of
    it holds for nothing else.
    """

    key: str
    id: str
    task: str
    reason: str
    error: str
    queue: str
    died_at: float | None
    replays: int
    args: str
    body: bytes = field(repr=False)
    properties: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, Any] = field(repr=False)

    def summary(self, *, with_args: bool) -> dict[str, Any]:
        """Return what is told of it; its arguments only when asked for."""
        document: dict[str, Any] = {
            "id": self.id,
            "task": self.task,
            "reason": self.reason,
            "error": self.error,
            "queue": self.queue,
            "died_at": self.died_at,
            "replays": self.replays,
            "bytes": len(self.body),
        }
        return {**document, "args": self.args} if with_args else document

    def again(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the properties and headers it is published with: its own, without its deaths, with one replay more."""
        headers = {
            name: value
            for name, value in self.headers.items()
            if name not in OLD_HEADERS and not name.startswith(OLD_PREFIXES)
        }
        properties = {name: value for name, value in self.properties.items() if name not in OLD_PROPERTIES}
        return properties, {**headers, REPLAYS_HEADER: self.replays + 1}


@dataclass(frozen=True)
class Selection:
    """Which letters are meant; what is empty leaves nothing out."""

    tasks: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is meant. A task is meant by its whole name or what its name ends in behind a dot."""
        return (
            (not self.tasks or any(letter.task == name or letter.task.endswith(f".{name}") for name in self.tasks))
            and (not self.reasons or letter.reason in self.reasons)
            and (not self.ids or letter.id in self.ids)
        )


def read(body: bytes, properties: Mapping[str, Any], headers: Mapping[str, Any], *, dead_queue: str) -> Letter:
    """Read a message; one that is no task of Celery's is a letter too, with what is known of it."""
    deaths: Sequence[Mapping[str, Any]] = headers.get("x-death") or [{}]
    told: Mapping[str, Any] = headers.get(WORKERS_HEADER) or {}
    return Letter(
        key=_key(body, headers),
        id=str(headers.get("id") or properties.get("correlation_id") or ""),
        task=str(headers.get("task") or ""),
        reason=str(told.get("reason") or deaths[0].get("reason") or headers.get("x-first-death-reason") or ""),
        error=str(told.get("error") or ""),
        queue=str(told.get("queue") or deaths[0].get("queue") or headers.get("x-first-death-queue") or ""),
        died_at=_seconds(told.get("at") if told else deaths[0].get("time")),
        replays=int(headers.get(REPLAYS_HEADER) or 0),
        args=_args(body, headers),
        body=body,
        properties=properties,
        headers=headers,
    )


def decide(letter: Letter, journal: Mapping[str, Event], *, in_doubt_too: bool) -> Verdict:
    """Return what to do with a letter that is meant.

    remove: it was put back before and only its removal from here failed. hold: an earlier replay ended between sending
    it and hearing that it arrived, so that sending it again may be the second time.
    """
    event = journal.get(letter.key)
    if event == "confirmed":
        return "remove"
    if event == "intent" and not in_doubt_too:
        return "hold"
    return "replay"


def counts(letters: Iterable[Letter]) -> list[tuple[str, str, int]]:
    """Return (task, reason, how many), the most frequent first."""
    found = Counter((letter.task, letter.reason) for letter in letters)
    return sorted(((task, reason, count) for (task, reason), count in found.items()), key=lambda one: (-one[2], one))


def _key(body: bytes, headers: Mapping[str, Any]) -> str:
    said = {name: headers.get(name) for name in ("id", "retries", REPLAYS_HEADER, WORKERS_HEADER)}
    deaths = [
        {name: death.get(name) for name in ("queue", "reason", "count", "time")}
        for death in headers.get("x-death") or ()
    ]
    text = json.dumps([said, deaths], sort_keys=True, default=str)
    return hashlib.sha256(text.encode() + b"\0" + body).hexdigest()[:32]


def _seconds(value: Any) -> float | None:
    if isinstance(value, datetime):  # RabbitMQ's: UTC, and py-amqp does not say so
        return (value - datetime(1970, 1, 1, tzinfo=value.tzinfo)).total_seconds()
    return float(value) if isinstance(value, int | float) else None


def _args(body: bytes, headers: Mapping[str, Any]) -> str:
    """Return a task's arguments shortened, as Celery's JSON body has them; else as its headers show them."""
    try:
        args, kwargs, _ = json.loads(body)
        text = ", ".join([*map(json.dumps, args), *(f"{name}={json.dumps(value)}" for name, value in kwargs.items())])
    except (ValueError, TypeError, AttributeError):
        text = f"{headers.get('argsrepr', '')} {headers.get('kwargsrepr', '')}".strip()
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
