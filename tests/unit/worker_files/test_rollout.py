"""A route moves to another queue step by step: which tasks have moved follows from their ids."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import workers
from tests.local.worker_release import load_file

ids = st.uuids().map(str) | st.text(min_size=1)
percents = st.floats(0, 100) | st.integers(0, 100)


@pytest.fixture(scope="module")
def celeryconfig(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    topology = workers.make_topology(app="user", classes={}, queues={"old": workers.make_queue("io")})
    config: Path = workers.write_config(tmp_path_factory.mktemp("release") / "config", topology)
    return load_file(config / "celeryconfig.py")


def queue_of(celeryconfig: ModuleType, task_id: str, percent: float) -> str:
    queues = {name: workers.make_queue("io") for name in ("old", "new")}
    route = {"task": "t", "queue": "old", "priority": 5, "rollout": {"queue": "new", "percent": percent}}
    router = celeryconfig.make_router(workers.make_topology(app="user", classes={}, queues=queues, routes=[route]))
    queue = router("t", (), {}, {})["queue"]
    return str(queue if isinstance(queue, str) else queue.for_task(task_id).name)


@given(ids, percents)
def test_the_same_id_takes_the_same_queue(celeryconfig: ModuleType, task_id: str, percent: float) -> None:
    assert queue_of(celeryconfig, task_id, percent) == queue_of(celeryconfig, task_id, percent)


@given(ids)
def test_0_moves_none_and_100_moves_all(celeryconfig: ModuleType, task_id: str) -> None:
    assert queue_of(celeryconfig, task_id, 0) == "old"
    assert queue_of(celeryconfig, task_id, 100) == "new"


@given(ids, percents, percents)
def test_a_higher_percentage_takes_nothing_back(
    celeryconfig: ModuleType, task_id: str, one: float, other: float
) -> None:
    if queue_of(celeryconfig, task_id, min(one, other)) == "new":
        assert queue_of(celeryconfig, task_id, max(one, other)) == "new"


@pytest.mark.parametrize("percent", [1, 10, 50, 90])
def test_the_share_is_what_was_asked_for(celeryconfig: ModuleType, percent: float) -> None:
    count = 20_000
    moved = sum(celeryconfig.place(f"task-{number}") < percent for number in range(count))
    deviation = (percent / 100 * (1 - percent / 100) / count) ** 0.5
    assert abs(moved / count - percent / 100) < 4 * deviation


def test_loading_the_settings_again_asks_each_queue_once(celeryconfig: ModuleType) -> None:
    celeryconfig.follow_rollouts()
    once = celeryconfig.AMQP._create_task_sender
    celeryconfig.follow_rollouts()
    assert celeryconfig.AMQP._create_task_sender is once
