"""The marker table: one effect a task, whatever happens in between."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from examx import database, effects, schema


def contents() -> list[str]:
    return database.read(lambda c: list(c.execute(select(schema.contents.c.text)).scalars()))


def add_content(text: str):
    return lambda c: c.execute(insert(schema.contents), {"task_id": "t", "title": "", "text": text})


def test_second_delivery_writes_nothing(database_url: str):
    assert effects.once(task_id="a", task="x", kind="row", work=add_content("one"))
    assert not effects.once(task_id="a", task="x", kind="row", work=add_content("two"))
    assert contents() == ["one"]
    assert effects.is_done("a")
    assert not effects.is_done("b")


def test_rows_and_marker_come_together_or_not_at_all(database_url: str):
    def fails(connection) -> None:
        add_content("half")(connection)
        raise RuntimeError("dies")

    with pytest.raises(RuntimeError):
        effects.once(task_id="a", task="x", kind="row", work=fails)
    assert contents() == []
    assert not effects.is_done("a")


def test_conflict_in_the_works_own_rows_is_not_taken_for_a_redelivery(database_url: str):
    def conflicting(connection) -> None:
        connection.execute(insert(schema.contents), [{"id": 1, "text": "a"}, {"id": 1, "text": "b"}])

    with pytest.raises(IntegrityError):
        effects.once(task_id="a", task="x", kind="row", work=conflicting)
    assert not effects.is_done("a")


def test_markers_are_read_on_from_a_cursor(database_url: str):
    for number in range(5):
        effects.once(task_id=f"t{number}", task="x", kind="mail", clock=lambda: 12.5)
    first = effects.markers_after(at_most=2)
    assert first == [
        effects.Marker(seq=1, task_id="t0", task="x", kind="mail", created_at=12.5),
        effects.Marker(seq=2, task_id="t1", task="x", kind="mail", created_at=12.5),
    ]
    assert [marker.task_id for marker in effects.markers_after(first[-1].seq)] == ["t2", "t3", "t4"]
    assert effects.markers_after(5) == []


def test_reading_an_untouched_database_finds_nothing(tmp_path):
    assert effects.markers_after(database_url=f"sqlite:///{tmp_path / 'new' / 'examx.sqlite3'}") == []


def test_write_waits_for_another_writer(database_url: str):
    effects.prepare()
    other = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    timer.start()
    started = time.monotonic()
    try:
        assert effects.once(task_id="a", task="x", kind="row")
        assert time.monotonic() - started >= 0.25
    finally:
        timer.join()
        other.close()


def test_write_gives_up_at_its_limit(database_url: str, monkeypatch: pytest.MonkeyPatch):
    effects.prepare()
    monkeypatch.setattr(database, "LOCK_WAIT_SECONDS", 0.2)
    other = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(Exception, match="locked"):
            effects.once(task_id="a", task="x", kind="row")
        assert not effects.is_done("a")  # reading needs no lock
    finally:
        other.close()


@pytest.mark.timeout(60)
def test_many_threads_and_redeliveries_leave_one_effect_each(database_url: str):
    done: list[bool] = []

    def deliver(offset: int) -> None:
        for number in range(40):
            task_id = f"t{(number + offset) % 40}"
            done.append(effects.once(task_id=task_id, task="x", kind="row", work=add_content(task_id)))

    threads = [threading.Thread(target=deliver, args=(offset,)) for offset in (0, 7, 14, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == 40
    assert len(done) == 160
    assert sorted(contents()) == sorted(f"t{number}" for number in range(40))
    assert database.read(lambda c: c.execute(select(func.count()).select_from(schema.task_effects)).scalar_one()) == 40
