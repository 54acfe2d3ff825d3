"""A pod that is told to stop finishes what it has in work."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import pytest

from harness.cluster.api import Api
from harness.errors import HarnessError
from tests.cluster.place import Place
from tests.cluster.results import Note
from tests.cluster.space import CLASSES, WORKERS, Space, eventually

WORK_SECONDS = 8.0
# As much as one pod of the class works on at once, or less.
LOAD = {"forgot_password_mail": 40, "bulk_upload_questions_task": 4, "check_db_connections": 8}
STOP_SECONDS = 30.0  # beyond the tasks' own time
WATCH_SECONDS = 120.0


class Departures(threading.Thread):
    """Watches pods go: by name, when the object went and how it looked last."""

    def __init__(self, place: Place, space: Space, names: set[str]) -> None:
        super().__init__(daemon=True)
        self.seen: dict[str, tuple[float, dict[str, Any]]] = {}
        self.problem = ""
        self._kubeconfig, self._namespace, self._names = place.kubectl.kubeconfig, space.name, names

    def run(self) -> None:
        """Watch until all of them are gone."""
        try:
            with contextlib.closing(Api(self._kubeconfig)) as api:
                for change, pod in api.watch_pods(self._namespace, seconds=WATCH_SECONDS, selector=WORKERS):
                    name = pod["metadata"]["name"]
                    if change == "DELETED" and name in self._names:
                        self.seen[name] = (time.monotonic(), pod)
                    if self.seen.keys() >= self._names:
                        return
        except HarnessError as error:
            self.problem = str(error)


@pytest.mark.timeout(300)
def test_a_pod_of_each_class_ends_after_its_tasks_and_before_its_grace(
    release: Space, place: Place, record_property: Note
) -> None:
    with release.latencies(smtp=WORK_SECONDS, storage=WORK_SECONDS, wait=WORK_SECONDS):
        ids = release.publish(LOAD)
        in_work = eventually(lambda: _in_work(release), seconds=60, what="tasks in work in each class", every=0.5)
        pods = set(in_work)
        departures = Departures(place, release, pods)
        departures.start()
        told_at = time.monotonic()
        release.delete_pods(*pods)
        departures.join(WATCH_SECONDS)
        assert departures.seen.keys() == pods, departures.problem
        held = [task_id for tasks in in_work.values() for task_id in tasks]
        release.require_done(held, seconds=5, what="tasks of pods that were told to stop")
        release.require_done(ids, seconds=60, what="the others")
    for pod, (gone_at, last) in departures.seen.items():
        took = gone_at - told_at
        state = last["status"]["containerStatuses"][0]["state"]
        assert state["terminated"]["exitCode"] == 0, f"{pod}: {state}"
        assert took < min(last["spec"]["terminationGracePeriodSeconds"], WORK_SECONDS + STOP_SECONDS), pod
        print(f"{pod}: {len(in_work[pod])} tasks in work, gone after {took:.1f} s")
    again = release.delivered_again(ids)
    record_property("ran twice", len(again))
    assert again == {}
    release.settled()


def _in_work(space: Space) -> dict[str, list[str]]:
    """Return the tasks a pod of each class has in work, by pod; nothing as long as a class has none."""
    workers = [f"{name}@{pod['metadata']['name']}" for name in CLASSES for pod in space.workers(name)]
    held = space.ask("in_work", {"workers": workers})
    busy = {worker.partition("@")[0]: worker for worker, tasks in held.items() if tasks}
    return {worker.partition("@")[2]: held[worker] for worker in busy.values()} if busy.keys() >= {*CLASSES} else {}
