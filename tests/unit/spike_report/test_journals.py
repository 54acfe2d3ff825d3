"""Journals: a torn end is forgiven, nothing else is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.spike.journals import Delivery, calls_of, effects_of, read_deliveries, read_offers
from harness.spike.ledger import Effect, OfferEvent

LINE = {"t": 1.5, "id": "a", "event": "offered", "task": "send", "queue": "io", "phase": "burst", "attempt": 1}


@dataclass(frozen=True)
class Row:
    task_id: str
    kind: str
    created_at: float = 2.0


def write(directory: Path, *lines: dict, name: str = "publisher-0.jsonl", tail: bytes = b"") -> Path:
    path = directory / name
    path.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines) + tail)
    return path


def test_all_publishers_are_read(tmp_path: Path) -> None:
    write(tmp_path, LINE, LINE | {"event": "refused", "stored": True, "reason": "queue full"})
    write(tmp_path, LINE | {"id": "b", "event": "accepted", "attempt": 3, "extra": 1}, name="publisher-1.jsonl")
    journal = read_offers(tmp_path)
    assert [(offer.id, offer.event, offer.stored, offer.attempt) for offer in journal.entries] == [
        ("a", OfferEvent.OFFERED, False, 1),
        ("a", OfferEvent.REFUSED, True, 1),
        ("b", OfferEvent.ACCEPTED, False, 3),
    ]
    assert journal.torn == 0


@given(cut=st.integers(1, 200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_torn_last_line_is_left_out_and_counted(tmp_path: Path, cut: int) -> None:
    whole = json.dumps(LINE).encode()
    torn = whole[: cut % len(whole)]
    write(tmp_path, LINE, LINE, tail=torn)
    journal = read_offers(tmp_path)
    assert (len(journal.entries), journal.torn) == (2, 1 if torn else 0)


def test_a_last_line_that_is_whole_but_not_ended_counts(tmp_path: Path) -> None:
    write(tmp_path, LINE, tail=json.dumps(LINE).encode())
    assert len(read_offers(tmp_path).entries) == 2


def test_a_broken_line_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, LINE, tail=b'{"t": 1.5, "id\n' + json.dumps(LINE).encode() + b"\n")
    with pytest.raises(InputError, match=rf"{path}:2: not a JSON line"):
        read_offers(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t": "1.5"}, "t is '1.5', expected a number"),
        ({"t": float("nan")}, "t is nan, expected a number"),
        ({"id": 7}, "id is 7, expected a string"),
        ({"event": "vanished"}, "'vanished' is not a valid OfferEvent"),
        ({"attempt": True}, "attempt is True, expected a whole number"),
        ({"stored": "yes"}, "stored is 'yes', expected true or false"),
    ],
)
def test_a_wrong_value_names_file_line_and_key(tmp_path: Path, change: dict, message: str) -> None:
    write(tmp_path, LINE, LINE | change)
    with pytest.raises(InputError, match=rf"publisher-0.jsonl:2: {message}"):
        read_offers(tmp_path)


@pytest.mark.parametrize("key", ["t", "id", "event", "task", "queue", "phase"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    write(tmp_path, {name: value for name, value in LINE.items() if name != key})
    with pytest.raises(InputError, match=rf":1: no '{key}'"):
        read_offers(tmp_path)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the load generator wrote nothing"):
        read_offers(tmp_path)
    with pytest.raises(InputError, match="the stand-in services wrote nothing"):
        read_deliveries(tmp_path / "deliveries.jsonl")


def test_only_what_reached_the_outside_is_an_effect(tmp_path: Path) -> None:
    lines = [
        {"t": 1.0, "id": "a", "kind": "mail", "status": 250},
        {"t": 1.5, "id": "b", "kind": "mail", "status": 451},
        {"t": 2.0, "id": "c", "kind": "ai", "status": 200},
    ]
    journal = read_deliveries(write(tmp_path, *lines, name="deliveries.jsonl"))
    markers = [Row("b", "mail"), Row("c", "row"), Row("d", "file"), Row("e", "file")]
    effects = effects_of(journal.entries, markers, file_exists={"d"}.__contains__)
    assert effects == [Effect(1.0, "a", "mail"), Effect(2.0, "c", "row"), Effect(2.0, "d", "file")]


def test_calls_are_counted_by_service() -> None:
    statuses = [("ai", "a", 200), ("ai", "a", 200), ("ai", "b", 429), ("php", "c", 500)]
    assert calls_of(Delivery(1.0, key, kind, status) for kind, key, status in statuses) == {
        "ai": {"answered": 2, "refused": 1, "repeated": 1},
        "php": {"answered": 0, "refused": 1, "repeated": 0},
    }
