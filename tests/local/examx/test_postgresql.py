"""The application on PostgreSQL."""

from __future__ import annotations

import threading

import pytest

from examx import database, effects
from harness.services.postgresql import PostgreSQL


@pytest.fixture
def database_url(own_database: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> str:
    url = own_database.url.replace("postgresql:", "postgresql+psycopg:", 1)
    monkeypatch.setenv("EXAMX_DATABASE_URL", url)
    yield url
    database.engine(url).dispose()


def test_a_reader_that_goes_on_from_the_last_marker_misses_none(database_url: str) -> None:
    """The earlier number is committed first, although its transaction takes longer."""
    later = threading.Thread(target=lambda: effects.once(task_id="later", task="t", kind="row"))
    with database.engine(database_url).connect() as connection:
        database.take_turn(connection)
        connection.execute(effects._INSERT, {"task_id": "earlier", "task": "t", "kind": "row", "created_at": 1.0})
        later.start()
        later.join(0.5)
        assert later.is_alive(), "the later one was committed first"
        assert effects.markers_after(0, database_url=database_url) == []
        connection.commit()
    later.join(10)
    assert [one.task_id for one in effects.markers_after(0, database_url=database_url)] == ["earlier", "later"]


def test_a_task_is_done_once(database_url: str) -> None:
    assert effects.once(task_id="one", task="t", kind="row")
    assert not effects.once(task_id="one", task="t", kind="row")
