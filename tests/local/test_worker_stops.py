"""What the end of a worker does to its tasks: each pool, asked or killed, acknowledged after the work or before it."""

from __future__ import annotations

import collections
import signal
import time
from pathlib import Path

import pytest

from harness import processes
from harness.broker.server import Broker
from tests.local.silent_proxy import SilentProxy
from tests.local.test_workers import EACH_POOL, GEVENT_OR_FULL, make_topology
from tests.local.worker_release import ReleaseUnderTest, eventually

pytestmark = pytest.mark.timeout(120)

TASKS = "tests.local.user_apps.plain"
HEARTBEATS_SECONDS = 5.0  # two of Celery's own, and a little
EACH = 4  # late ones, and as many early ones: twice what one worker does at a time


def noted(release: ReleaseUnderTest, *, end: bool) -> collections.Counter[str]:
    """How often each task has begun, or ended."""
    return collections.Counter(note["id"] for note in release.effects() if note["end"] is end)


def send(release: ReleaseUnderTest, *, seconds: float = 2.0) -> tuple[set[str], set[str]]:
    """Offer tasks of both kinds in turn; return the ids of the late and of the early ones."""
    publisher = release.publisher()
    names = ("work_late", "work_early")
    pairs = [
        tuple(publisher.send_task(f"{TASKS}.{name}", kwargs={"seconds": seconds}).id for name in names)
        for _ in range(EACH)
    ]
    return {late for late, _ in pairs}, {early for _, early in pairs}


@pytest.mark.parametrize("pool", EACH_POOL)
def test_worker_that_is_asked_to_end_ends_its_tasks_first(pool: str, vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(pool, concurrency=4))
    with release.worker("work", pod="pod-0") as worker:
        late, early = send(release)
        assert eventually(lambda: len(noted(release, end=False)) == 4)
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(30) == 0
        assert noted(release, end=True).keys() == noted(release, end=False).keys()
    with release.worker("work", pod="pod-1"):
        assert eventually(lambda: noted(release, end=True).keys() == late | early)
    assert set(noted(release, end=False).values()) == {1}  # nothing lost, nothing twice


def test_task_of_which_the_worker_has_heard_nothing_is_waited_for(vhost_broker: Broker, tmp_path: Path) -> None:
    """A prefork process was given it; the worker was asked to end before it read the process's answer."""
    app = "tests.local.user_apps.stalled"
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("prefork", app=f"{app}:app"))
    with release.worker("work") as worker:
        task = release.publisher().send_task(f"{app}.work", queue="main").id
        assert worker.process.wait(60) == 0
        assert len(release.effects(task)) == 1
        assert "could not ensure all messages were consumed" not in worker.log.read_text()
    assert eventually(lambda: release.depth("main") == 0)  # acknowledged, so it does not come again


@pytest.mark.parametrize("pool", GEVENT_OR_FULL)
def test_killed_worker_loses_what_was_acknowledged_before_the_work(
    pool: str, vhost_broker: Broker, tmp_path: Path
) -> None:
    """Which is why the chart acknowledges after it; a task may still say otherwise for itself."""
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(pool, concurrency=4))
    with release.worker("work", pod="pod-0") as worker:
        # Celery's loop sends acknowledgements when it next wakes, with threads up to 2 s after the tasks' beginning.
        late, early = send(release, seconds=4.0)
        assert eventually(lambda: len(noted(release, end=False)) == 4)
        assert eventually(
            lambda: release.depth_now("main").total == 2 * EACH - len(early & noted(release, end=False).keys())
        )
        processes.kill_group(worker.process)
        cut = set(noted(release, end=False)) - set(noted(release, end=True))
    with release.worker("work", pod="pod-1"):
        assert eventually(lambda: release.depth("main") == 0)
        assert eventually(lambda: late <= noted(release, end=True).keys())
        assert eventually(lambda: noted(release, end=True).keys() >= (late | early) - cut)
    assert cut & late
    assert cut & early
    assert (late | early) - noted(release, end=True).keys() == cut & early
    assert {task for task, times in noted(release, end=False).items() if times > 1} == cut & late


def test_worker_ends_though_who_sends_events_waits_for_a_silent_broker(vhost_broker: Broker, tmp_path: Path) -> None:
    """A heartbeat that has lost its connection makes another one, holding the lock for which the last event waits."""
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology("gevent"))
    with SilentProxy.to(vhost_broker.amqp_url) as proxy, release.worker("work", amqp_url=proxy.url) as worker:
        assert eventually(lambda: proxy.connections == 3)  # for tasks, for events, for remote control
        proxy.answer(at_most=2)
        proxy.cut(1)
        time.sleep(HEARTBEATS_SECONDS)
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(40) == 0
