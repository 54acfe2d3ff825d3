"""Reads what a run's programs wrote: publisher journals, the stand-ins' deliveries, the application's markers.

A program that was killed may leave a last line without its end; that line is left out and counted. Anything else that
is not as agreed raises InputError naming file and line.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from harness.errors import InputError
from harness.spike.ledger import Effect, Offer, OfferEvent

T = TypeVar("T")
PUBLISHER_JOURNALS = "publisher-*.jsonl"
DELIVERIES = "deliveries.jsonl"
SUCCESS = range(200, 400)  # HTTP 2xx and 3xx; SMTP 250


@dataclass(frozen=True)
class Journal(Generic[T]):
    """A journal's entries in the order written, and how many torn last lines were left out."""

    entries: tuple[T, ...]
    torn: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request that reached a stand-in service; `at` is seconds since the epoch, `status` SMTP's or HTTP's."""

    at: float
    id: str
    kind: str
    status: int

    @property
    def answered(self) -> bool:
        """Whether the service did what it was asked."""
        return self.status in SUCCESS


class Marker(Protocol):
    """A row of the application's table of finished tasks."""

    @property
    def task_id(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def created_at(self) -> float: ...  # noqa: D102


def read_offers(directory: Path) -> Journal[Offer]:
    """Read every `publisher-*.jsonl` of the directory. Raises InputError when there is none."""
    paths = sorted(directory.glob(PUBLISHER_JOURNALS))
    if not paths:
        raise InputError(f"{directory}: no {PUBLISHER_JOURNALS} there; the load generator wrote nothing")
    journals = [_read(path, _offer) for path in paths]
    entries = tuple(entry for journal in journals for entry in journal.entries)
    return Journal(entries, sum(journal.torn for journal in journals))


def read_deliveries(path: Path) -> Journal[Delivery]:
    """Read the stand-ins' journal. Raises InputError when it is missing."""
    if not path.is_file():
        raise InputError(f"{path}: not there; the stand-in services wrote nothing")
    return _read(path, _delivery)


def effects_of(
    deliveries: Iterable[Delivery], markers: Iterable[Marker], *, file_exists: Callable[[str], bool]
) -> list[Effect]:
    """Return what proves tasks done: mails the sink took, rows by their marker, files by marker and file.

    A mail's own marker proves nothing: the sink's word counts. Calls to other services are means, not effects: the
    Idempotency-Key lets a provider recognise a repeated one.
    """
    mails = [Effect(each.at, each.id, "mail") for each in deliveries if each.kind == "mail" and each.answered]
    kept = [
        Effect(marker.created_at, marker.task_id, marker.kind)
        for marker in markers
        if marker.kind == "row" or (marker.kind == "file" and file_exists(marker.task_id))
    ]
    return mails + kept


def calls_of(deliveries: Iterable[Delivery]) -> dict[str, dict[str, int]]:
    """Count requests by service: `answered`, `refused` (4xx, 5xx), `repeated` (answered for an id again)."""
    answered: Counter[tuple[str, str]] = Counter()
    refused: Counter[str] = Counter()
    for each in deliveries:
        if each.answered:
            answered[each.kind, each.id] += 1
        else:
            refused[each.kind] += 1
    kinds = sorted({kind for kind, _ in answered} | set(refused))
    return {
        kind: {
            "answered": sum(times for (one, _), times in answered.items() if one == kind),
            "refused": refused[kind],
            "repeated": sum(times - 1 for (one, _), times in answered.items() if one == kind),
        }
        for kind in kinds
    }


def _read(path: Path, parse: Callable[[Mapping[str, Any]], T]) -> Journal[T]:
    entries: list[T] = []
    torn = 0
    for number, line, ended in _lines(path):
        try:
            document = json.loads(line)
        except ValueError as error:  # also bytes that are no UTF-8
            if not ended:
                torn += 1
                continue
            raise InputError(f"{path}:{number}: not a JSON line: {error}") from error
        if not isinstance(document, dict):
            raise InputError(f"{path}:{number}: expected an object, found {type(document).__name__}")
        try:
            entries.append(parse(document))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}:{number}: {_what(error)}") from error
    return Journal(tuple(entries), torn)


def _lines(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Each line that is not blank: its number, its bytes, whether it was ended."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield number, line, line.endswith(b"\n")


def _offer(document: Mapping[str, Any]) -> Offer:
    return Offer(
        at=_number(document, "t"),
        id=_text(document, "id"),
        event=OfferEvent(_text(document, "event")),
        task=_text(document, "task"),
        queue=_text(document, "queue"),
        phase=_text(document, "phase"),
        attempt=_whole(document, "attempt", 1),
        stored=_flag(document, "stored"),
        reason=str(document.get("reason") or ""),
    )


def _delivery(document: Mapping[str, Any]) -> Delivery:
    return Delivery(
        at=_number(document, "t"),
        id=_text(document, "id"),
        kind=_text(document, "kind"),
        status=_whole(document, "status", None),
    )


def _number(document: Mapping[str, Any], key: str) -> float:
    value = document[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{key} is {value!r}, expected a number")
    return float(value)


def _whole(document: Mapping[str, Any], key: str, default: int | None) -> int:
    value = document.get(key, default) if default is not None else document[key]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{key} is {value!r}, expected a whole number")
    return value


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} is {value!r}, expected a string")
    return value


def _flag(document: Mapping[str, Any], key: str) -> bool:
    value = document.get(key)
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"{key} is {value!r}, expected true or false")
    return bool(value)


def _what(error: Exception) -> str:
    return f"no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)
