"""Plain publishers, workers and the publishing library move a route alike, on a real broker."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from celery import uuid

from benchmarks import workers
from celery_workers import Publisher
from celery_workers.errors import Unroutable
from harness.broker.management import Management
from harness.broker.server import Broker
from tests.local.worker_release import ReleaseUnderTest, eventually, load_file

pytestmark = pytest.mark.timeout(90)

COUNT, PERCENT = 60, 30


def make_topology(percent: int = PERCENT) -> workers.Topology:
    rollout = {"queue": "new", "percent": percent}
    return workers.make_topology(
        app="tests.local.user_apps.plain:app",
        classes={"work": workers.make_class("threads", 4, "old", "new")},
        queues={name: workers.make_queue("work", dead_letter_queue=f"{name}.dead") for name in ("old", "new")},
        routes=[{"task": "*.send_mail", "queue": "old", "priority": 5, "rollout": rollout}],
    )


def test_every_way_to_publish_moves_the_same_tasks(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology())
    app = release.publisher()
    place = load_file(release.config / "celeryconfig.py").place
    ids = [uuid() for _ in range(COUNT)]
    moved = sum(place(task_id) < PERCENT for task_id in ids)
    assert 0 < moved < COUNT

    @app.task(name="user.send_mail", shared=False)  # an app finalized later would have it too
    def send_mail() -> None: ...

    library = Publisher(app)
    for task_id in ids:
        app.send_task("user.send_mail", task_id=task_id)
        send_mail.apply_async(task_id=task_id)
        library.publish("user.send_mail", task_id=task_id)
        app.send_task("user.send_mail", task_id=task_id, queue="old")  # the caller's own choice stays
    library.close()
    assert eventually(lambda: release.depth("new") == 3 * moved)
    assert release.depth("old") == 4 * COUNT - 3 * moved


def test_an_error_names_the_queue_the_task_took(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology())
    app = release.publisher()
    place = load_file(release.config / "celeryconfig.py").place
    with Management(vhost_broker.management_url) as api:
        api.delete_queue("new")
    moved, stayed = (next(i for i in iter(uuid, "") if (place(i) < PERCENT) is new) for new in (True, False))
    library = Publisher(app)
    assert library.publish("user.send_mail", task_id=stayed) == stayed
    with pytest.raises(Unroutable) as caught:
        library.publish("user.send_mail", task_id=moved)
    assert caught.value.queue == "new"
    library.close()


def test_back_to_0_is_back_to_the_old_queue(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology(0))
    assert json.loads((release.config / "topology.json").read_text())["routes"][0]["rollout"]["percent"] == 0
    for _ in range(10):
        release.publisher().send_task("user.send_mail")
    assert eventually(lambda: release.depth("old") == 10)


def test_a_route_goes_over_step_by_step_and_back(vhost_broker: Broker, tmp_path: Path) -> None:
    ids = [uuid() for _ in range(COUNT)]
    percents, counts = (0, 25, 100, 0), []
    for step, percent in enumerate(percents):
        release = ReleaseUnderTest.install(vhost_broker, tmp_path / str(step), make_topology(percent))
        counts.append(published(release, ids))
    place = load_file(tmp_path / "0" / "config" / "celeryconfig.py").place
    quarter = sum(place(task_id) < 25 for task_id in ids)
    print("percent, on the old queue and on the new one:", list(zip(percents, counts, strict=True)))
    assert counts == [(COUNT, 0), (COUNT - quarter, quarter), (0, COUNT), (COUNT, 0)]
    assert 0 < quarter < COUNT


def published(release: ReleaseUnderTest, ids: list[str]) -> tuple[int, int]:
    """Publish one task of each id by the release's routes; return how many the old queue got, and the new one."""

    def depths() -> tuple[int, int]:
        return release.depth("old"), release.depth("new")

    before = depths()
    with closing(Publisher(release.publisher())) as library:
        for task_id in ids:
            library.publish("user.send_mail", task_id=task_id)
    assert eventually(lambda: sum(depths()) == sum(before) + len(ids))
    old, new = depths()
    return old - before[0], new - before[1]
