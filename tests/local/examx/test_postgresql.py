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
    """Of two numbers the higher is committed first; the reader waits for the lower one."""
    seen: list[effects.Marker] = []
    reader = threading.Thread(target=lambda: seen.extend(effects.markers_after(0, database_url=database_url)))
    with database.engine(database_url).connect() as connection:
        marker = {"task_id": "earlier", "task": "t", "kind": "row", "created_at": 1.0}
        connection.execute(effects._INSERT_IN_TURN, marker)
        assert effects.once(task_id="later", task="t", kind="row"), "writers wait for each other"
        reader.start()
        reader.join(0.5)
        assert reader.is_alive(), "the reader went past a number that was not committed"
        connection.commit()
    reader.join(10)
    assert [one.task_id for one in seen] == ["earlier", "later"]


def test_a_task_is_done_once(database_url: str) -> None:
    assert effects.once(task_id="one", task="t", kind="row")
    assert not effects.once(task_id="one", task="t", kind="row")
