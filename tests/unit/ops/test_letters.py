from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import HarnessError, InputError
from harness.ops import letters, replay_journal
from harness.ops.letters import Letter, Selection

DIED = datetime(2026, 1, 2, 3, 4, 5)
LATER = datetime(2026, 1, 2, 3, 4, 6)
BODY = json.dumps([[1, "two"], {"three": 3}, {}]).encode()


def letter(body: bytes = BODY, **headers: Any) -> Letter:
    """A dead letter of RabbitMQ's making, unless `headers` say otherwise."""
    death = {"queue": "io", "reason": "expired", "count": 1, "time": DIED}
    said = {"id": "id-1", "task": "mail.send", "retries": 0, "x-death": [death], **headers}
    return letters.read(body, {"priority": 6, "expiration": "1", "user_id": "x"}, said, dead_queue="io.dead")


def test_what_rabbitmq_says_of_a_death() -> None:
    one = letter()
    assert (one.id, one.task, one.queue, one.reason, one.error) == ("id-1", "mail.send", "io", "expired", "")
    assert one.died_at == 1767323045.0
    assert one.args == '1, "two", three=3'


def test_what_a_worker_says_of_a_death_goes_first() -> None:
    told = {"queue": "cpu", "reason": "poison", "error": "delivered 5 times", "at": 1700000000}
    one = letter(**{letters.WORKERS_HEADER: told})
    assert (one.queue, one.reason, one.error, one.died_at) == ("cpu", "poison", "delivered 5 times", 1700000000.0)


@pytest.mark.parametrize("body", [b"\x80\x04", b"[1]", b"{}", b'"text"', b""])
def test_what_is_no_task_is_a_letter_too(body: bytes) -> None:
    one = letters.read(body, {}, {}, dead_queue="io.dead")
    assert (one.id, one.task, one.reason, one.queue) == ("", "", "", "")


def test_long_arguments_are_shortened_and_told_only_when_asked_for() -> None:
    one = letter(json.dumps([["x" * 1000], {}, {}]).encode())
    assert len(one.args) <= letters.SHOWN_CHARACTERS + 3
    assert "args" not in one.summary(with_args=False)
    assert "args" in one.summary(with_args=True)


def test_a_letter_goes_back_without_its_deaths() -> None:
    one = letter(**{"x-first-death-queue": "io", letters.WORKERS_HEADER: {"queue": "io"}, "lang": "py"})
    properties, headers = one.again()
    assert properties == {"priority": 6}
    assert headers == {"id": "id-1", "task": "mail.send", "retries": 0, "lang": "py", letters.REPLAYS_HEADER: 1}


@pytest.mark.parametrize(
    "other",
    [
        letter(**{letters.REPLAYS_HEADER: 1}),
        letter(retries=1),
        letter(b"[[2], {}, {}]"),
        letter(
            **{"x-death": [{"queue": "io", "reason": "expired", "count": 1, "time": datetime(2026, 1, 2, 3, 4, 6)}]}
        ),
        letter(**{letters.WORKERS_HEADER: {"queue": "io", "reason": "failed", "at": 1}}),
    ],
)
def test_the_same_task_after_another_life_is_another_letter(other: Letter) -> None:
    assert other.key != letter().key


def test_the_same_message_read_again_is_the_same_letter() -> None:
    assert letter().key == letter().key


@pytest.mark.parametrize(
    ("event", "in_doubt_too", "verdict"),
    [
        (None, False, "replay"),
        ("refused", False, "replay"),
        ("intent", False, "hold"),
        ("intent", True, "replay"),
        ("confirmed", False, "remove"),
        ("confirmed", True, "remove"),  # never twice, whatever is asked for
    ],
)
def test_what_becomes_of_a_letter_that_was_put_back_before(event: Any, in_doubt_too: bool, verdict: str) -> None:
    journal = {} if event is None else {letter().key: event}
    assert letters.decide(letter(), journal, in_doubt_too=in_doubt_too) == verdict


@pytest.mark.parametrize(
    ("selection", "takes"),
    [
        (Selection(), True),
        (Selection(tasks=("mail.send",)), True),
        (Selection(tasks=("send",)), True),
        (Selection(tasks=("end",)), False),
        (Selection(reasons=("expired", "maxlen")), True),
        (Selection(reasons=("rejected",)), False),
        (Selection(ids=("id-1",)), True),
        (Selection(tasks=("send",), ids=("id-2",)), False),
    ],
)
def test_selections(selection: Selection, takes: bool) -> None:
    assert selection.takes(letter()) is takes


def test_counts_are_by_task_and_reason_the_most_frequent_first() -> None:
    many = [letter(), letter(), letter(task="other")]
    assert letters.counts(many) == [("mail.send", "expired", 2), ("other", "expired", 1)]


EVENTS = st.sampled_from(["intent", "confirmed", "refused"])


@given(st.lists(st.tuples(st.integers(0, 3), EVENTS), max_size=12), st.integers(0, 60))
def test_a_journal_torn_anywhere_in_its_last_line_is_read_up_to_there(
    tmp_path_factory: pytest.TempPathFactory, notes: list[tuple[int, letters.Event]], cut: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "replayed.jsonl"
    with replay_journal.opened(path) as journal:
        for number, event in notes:
            journal.note(event, letter(id=f"id-{number}"), at=1.0)
    lines = path.read_bytes().splitlines(keepends=True)
    if lines:
        lines[-1] = lines[-1][: min(cut, len(lines[-1]) - 1)]
        path.write_bytes(b"".join(lines))
    whole = notes[:-1]
    expected = {letter(id=f"id-{number}").key: event for number, event in whole}
    with replay_journal.opened(path) as journal:
        assert journal.events == expected
        journal.note("intent", letter(id="later"), at=2.0)
    with replay_journal.opened(path) as journal:
        assert journal.events == {**expected, letter(id="later").key: "intent"}


def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\nnothing happened\n")
    with pytest.raises(InputError, match="no journal"), replay_journal.opened(path):
        pass
    assert path.read_text() == "dear diary\nnothing happened\n"


def test_one_replay_at_a_time_writes_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "replayed.jsonl"
    with replay_journal.opened(path), pytest.raises(HarnessError, match="another replay"), replay_journal.opened(path):
        pass
