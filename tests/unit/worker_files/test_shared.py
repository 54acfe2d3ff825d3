"""What workers share through Redis, where there is none, and the arithmetic of rates."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import workers
from tests.local.worker_release import load_file

FILES = workers.CHART_FILES


@pytest.fixture(scope="module")
def shared() -> ModuleType:
    return load_file(FILES / "celery_workers_redis.py")


@pytest.fixture
def ops(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(FILES), *sys.path])
    return load_file(FILES / "celery_workers_ops.py")


@given(number=st.integers(1, 10**6), unit=st.sampled_from([("s", 1), ("m", 60), ("h", 3600)]))
def test_rate_is_tasks_a_second(shared: ModuleType, number: int, unit: tuple[str, int]) -> None:
    name, seconds = unit
    assert shared.parse_rate(f" {number}/{name}") * seconds == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "fast", "10/d", "0/m", "-1/s", "inf/s", "nan/s", "1/2/m"])
def test_what_is_no_rate_is_refused(shared: ModuleType, text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- Python's own for what is no number
        shared.parse_rate(text)


def test_without_redis_nothing_is_counted_and_everything_allowed(shared: ModuleType) -> None:
    nobody = shared.Shared(None, "p")
    assert (nobody.count_redelivery("id"), nobody.rates(), nobody.wait_seconds("task", 1.0)) == (0, None, None)


def test_redis_that_is_away_is_left_alone_for_a_while(shared: ModuleType, closed_port: int) -> None:
    now = [100.0]
    away = shared.Shared(f"redis://:word@127.0.0.1:{closed_port}/0", "p", clock=lambda: now[0])
    assert away.count_redelivery("id") == 0
    asked: list[object] = []

    def note(client: object) -> int:
        asked.append(client)
        return 1

    assert away.ask(note, 0) == 0
    now[0] += shared.QUIET_SECONDS
    assert away.ask(note, 0) == 1
    assert len(asked) == 1


def test_url_is_not_in_the_log(shared: ModuleType, closed_port: int, caplog: pytest.LogCaptureFixture) -> None:
    shared.Shared(f"redis://:word@127.0.0.1:{closed_port}/0", "p").count_redelivery("id")
    assert "Redis does not answer" in caplog.text
    assert "word" not in caplog.text


@pytest.mark.parametrize(
    ("task", "found"), [("a.b.mail", "mail"), ("mail", "mail"), ("x.exact", "x.exact"), ("chainmail", None)]
)
def test_rate_of_a_task_by_its_name_or_its_end(ops: ModuleType, task: str, found: str | None) -> None:
    assert ops.rate_of(task, {"mail": "1/s", "x.exact": "1/s"}) == found


def test_orders_that_cannot_be_read_leave_things_as_they_are(ops: ModuleType, tmp_path: Path) -> None:
    assert ops.read_paused(None) == ops.read_paused(str(tmp_path)) == frozenset()
    file = tmp_path / "paused.json"
    file.write_text('{"queues": ["io"]}')
    assert ops.read_paused(str(tmp_path)) == {"io"}
    for text in ("{", "[]", "{}", '{"queues": 1}'):
        file.write_text(text)
        assert ops.read_paused(str(tmp_path)) is None
