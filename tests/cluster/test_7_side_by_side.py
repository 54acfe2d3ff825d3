"""Two releases of one application in one namespace, kept apart by their queues or by virtual hosts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.chart import yaml_strict
from harness.chart.values import CHART
from harness.cluster import fixture
from tests.cluster.apps import images, running
from tests.cluster.space import Space

pytestmark = pytest.mark.full

NORTH, SOUTH = "north", "south"
QUEUES = {"queues": {"labels", "tracking", "south.labels", "south.tracking"}, "hosts": {"labels", "tracking"}}


def southern_values(apart: str) -> dict[str, Any]:
    """Return the application's values with another Secret, or with queues of other names."""
    values: dict[str, Any] = yaml_strict.load_file(images.PARCELS.values)
    if apart == "hosts":
        return {**values, "broker": {"existingSecret": "south-broker"}}
    for settings in values["workers"].values():
        if settings is not None:
            settings["queues"] = {f"south.{name}": queue for name, queue in settings["queues"].items()}
    routes = [{**route, "queue": f"south.{route['queue']}"} for route in values["routes"]]
    return {**values, "defaultQueue": f"south.{values['defaultQueue']}", "routes": routes}


class Pair:
    """Both releases, and what publishes to each."""

    def __init__(self, space: Space, apart: str, directory: Path) -> None:
        self.space = space
        changed = directory / "south.yaml"
        changed.write_text(yaml_strict.dump_all([southern_values(apart)]))
        secret = fixture.BROKER_SECRET if apart == "queues" else "south-broker"
        self.publishers = {
            NORTH: self._install(NORTH, images.PARCELS.values, fixture.BROKER_SECRET),
            SOUTH: self._install(SOUTH, changed, secret),
        }
        for release, publisher in self.publishers.items():
            self.require_ready(release)
            publisher.start()

    def _install(self, release: str, values: Path, secret: str) -> running.Publisher:
        self.space.helm("install", release, CHART, "--values", values)
        env = yaml_strict.load_file(images.PARCELS.values)["env"]
        return running.Publisher(self.space, images.PARCELS, release, env, "/ledger", secret)

    def require_ready(self, release: str) -> None:
        """Wait for a release's workers."""
        names = self.space.names("deployments", f"app.kubernetes.io/instance={release}")
        assert len(names) == 2
        self.space.rollout(*(f"deployment/{name}" for name in names))

    def run_tasks(self, release: str) -> None:
        """Have a release do some tasks; fail unless its own pods, all of them, did them."""
        wanted = [[task, release, *more] for _ in range(8) for task, *more in (["label.print", 5], ["tracking.ask"])]
        publisher = self.publishers[release]
        ids = set(publisher.answer("python", "/opt/application/send.py", json.dumps(wanted)))
        lines = [json.loads(line) for line in publisher.run("cat", "/ledger/lines.jsonl").splitlines()]
        done = [line for line in lines if line["id"] in ids]
        assert len(done) == len(ids)
        assert {line["host"] for line in done} == set(self.pods(release))

    def pods(self, release: str) -> list[str]:
        return self.space.names("pods", f"app.kubernetes.io/instance={release},celery-workers/class")


@pytest.fixture(params=["queues", "hosts"])
def apart(request: pytest.FixtureRequest) -> str:
    """What keeps the two from each other."""
    return str(request.param)


@pytest.fixture
def pair(space: Space, apart: str, tmp_path: Path) -> Pair:
    if not space.place.is_own_kind:
        pytest.skip("the application's image is built for our kind cluster only")
    images.load(space.place, images.PARCELS)
    running.add_volume(space)
    running.add_broker(space)
    if apart == "hosts":
        with space.management() as api:
            api.create_vhost("south", user="celery")
        login = f"celery:{space.password}@{fixture.NAME}.{space.name}"
        urls = {"amqpUrl": f"amqp://{login}:5672/south", "managementUrl": f"http://{login}:15672/south"}
        metadata = {"namespace": space.name, "name": "south-broker"}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": urls}
        space.kubectl.apply([secret], doing="making the second Secret")
    return Pair(space, apart, tmp_path)


def test_each_does_its_own_tasks_and_outlives_the_other(pair: Pair, space: Space, apart: str) -> None:
    for release in (NORTH, SOUTH):
        pair.run_tasks(release)
    south = pair.pods(SOUTH)
    space.helm("uninstall", NORTH)
    kinds = "deployments,configmaps,jobs,poddisruptionbudgets,serviceaccounts"
    assert space.names(kinds, f"app.kubernetes.io/instance={NORTH}") == []
    pair.run_tasks(SOUTH)
    assert pair.pods(SOUTH) == south
    assert space.restarts() == {}
    assert "release south works: 2 queues" in space.helm("test", SOUTH, "--logs")
    with space.management() as api:  # what waits in the other's queues is not thrown away with its release
        assert {name for name in api.queues() if "@" not in name and not name.endswith(".dead")} >= QUEUES[apart]
