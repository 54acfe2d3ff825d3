"""Applications that are not examx, installed by a values file each."""

from __future__ import annotations

import json

import pytest

from harness.chart import yaml_strict
from harness.chart.values import CHART
from harness.errors import HarnessError
from tests.cluster.apps import images, running
from tests.cluster.space import RELEASE, Space

pytestmark = pytest.mark.full


def install(space: Space, application: images.Application, mount: str) -> running.Publisher:
    """`helm install` with the application's values and nothing else; yields what publishes to it."""
    if not space.place.is_own_kind:
        pytest.skip("the applications' images are built for our kind cluster only")
    images.load(space.place, application)
    running.add_volume(space)
    running.add_broker(space)
    space.helm("install", RELEASE, CHART, "--values", application.values)
    space.ready()
    env = yaml_strict.load_file(application.values)["env"]
    publisher = running.Publisher(space, application, RELEASE, env, mount)
    publisher.start()
    return publisher


def test_an_application_with_settings_of_its_own(space: Space) -> None:
    publisher = install(space, images.PARCELS, "/ledger")
    with pytest.raises(HarnessError, match="No module named 'celery_workers'"):
        publisher.run("python", "-c", "import celery_workers")
    wanted = [
        [task, f"P{number}", *weight]
        for number in range(4)
        for task, *weight in (["label.print", 1200], ["tracking.ask"], ["customs.declare"])
    ]
    results = publisher.answer("python", "/opt/application/send.py", json.dumps(wanted))
    assert sorted(map(str, results.values())) == sorted(
        answer for number in range(4) for answer in ("600", "on its way", f"P{number}-CN22")
    )
    lines = [json.loads(line) for line in publisher.run("cat", "/ledger/lines.jsonl").splitlines()]
    assert {line["id"] for line in lines} == set(results)
    where = {(line["task"], line["queue"], line["priority"], line["worker"].partition("@")[0]) for line in lines}
    assert where == {
        ("label.print", "labels", 5, "printing"),
        ("tracking.ask", "tracking", 4, "asking"),
        ("customs.declare", "labels", 9, "printing"),
    }
    assert {line["host"] for line in lines} == {pod["metadata"]["name"] for pod in space.workers()}
    assert {line["timezone"] for line in lines} == {"Europe/Vienna"}
    assert "celery works: 2 queues" in space.helm("test", RELEASE, "--logs")


def test_a_django_project(space: Space) -> None:
    publisher = install(space, images.BOOKSHOP, "/data")
    manage = ("python", "/opt/application/manage.py")
    publisher.run(*manage, "migrate", "--verbosity=0")
    orders = publisher.answer(*manage, "order", "6")
    assert [order["invoice"] for order in orders] == [f"invoice for volume {number}" for number in range(6)]
    assert {order["invoiced_by"].partition("@")[0] for order in orders} == {"invoices"}
    assert {order["mailed_by"].partition("@")[0] for order in orders} == {"mail"}
    assert space.restarts() == {}
