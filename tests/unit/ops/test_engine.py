"""Overrides on the objects of a local runtime, without any process."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.ops import objects, wishes
from harness.ops.engine import AUDIT_LINES, ConflictError, Engine, ObjectHandler
from harness.ops.local_api import LocalDocuments
from harness.runtime.local.documents import DocumentStore

NAME = "celery-io-worker"
LABELS = {"celery-workers/class": "io"}
DEPLOYMENT = {
    "kind": "Deployment", "metadata": {"name": NAME, "labels": LABELS}, "spec": {"replicas": 2},
}  # fmt: skip
SCALED = {
    "kind": "ScaledObject",
    "metadata": {"name": NAME},
    "spec": {"scaleTargetRef": {"name": NAME}, "minReplicaCount": 1, "maxReplicaCount": 5},
}
HPA = {
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": NAME},
    "spec": {
        "scaleTargetRef": {"kind": "Deployment", "name": NAME},
        "minReplicas": 1,
        "maxReplicas": 5,
        "behavior": {"scaleUp": {"selectPolicy": "Max", "policies": [{"type": "Pods"}]}, "scaleDown": {}},
    },
}
TOPOLOGY = {"queues": {"io": {"class": "io"}, "mail": {"class": "io"}}}


class Place:
    """A release's objects, and a clock."""

    def __init__(self, *manifests: Mapping[str, Any]) -> None:
        self.documents = DocumentStore(manifests, apply=lambda document: None, fill=lambda document: None)
        self.now = 1000.0
        documents = LocalDocuments(self)
        handler = ObjectHandler(documents, "celery")
        numbers = itertools.count()
        self.engine = Engine(
            documents,
            "celery",
            dict.fromkeys(("floor", "hold", "paused"), handler),
            by="somebody",
            clock=lambda: self.now,
            new_id=lambda: f"id{next(numbers)}",
        )

    def pools(self) -> dict[str, wishes.Pool]:
        scalers = [one for kind in objects.SCALERS for one in self.documents.all(kind)]
        return wishes.pools(self.documents.all("Deployment"), scalers)

    def scale(self, replicas: int, *, until: float | None = None, raise_max: bool = False) -> Any:
        wish = wishes.scale(self.pools()["io"], replicas, raise_max=raise_max)
        return self.engine.place(f"scale io {replicas}", wish, until=until)

    def pause(self, queue: str) -> Any:
        return self.engine.place(f"pause {queue}", wishes.pause(queue, TOPOLOGY, self.pools()), until=None)

    def spec(self, kind: str) -> dict[str, Any]:
        found = self.documents.get(kind, NAME)
        assert found is not None
        return found["spec"]


@pytest.mark.parametrize(
    ("scaler", "keys"),
    [(SCALED, ("minReplicaCount", "maxReplicaCount")), (HPA, ("minReplicas", "maxReplicas"))],
    ids=["keda", "hpa"],
)
def test_a_scalers_floor_is_set_marked_and_put_back(scaler: dict[str, Any], keys: tuple[str, str]) -> None:
    place = Place(DEPLOYMENT, scaler)
    override = place.scale(7, raise_max=True)
    assert [place.spec(scaler["kind"])[key] for key in keys] == [7, 7]
    document = place.documents.get(scaler["kind"], NAME)
    assert document is not None
    assert document["metadata"]["annotations"] == {"celery-workers/override-floor": "id0: scale io 7"}
    place.engine.undo(override)
    restored = place.documents.get(scaler["kind"], NAME)
    assert restored is not None
    assert restored["spec"] == scaler["spec"]
    assert not restored["metadata"]["annotations"]
    assert place.engine.active() == []


def test_without_a_scaler_the_deployments_replicas_are_set() -> None:
    place = Place(DEPLOYMENT)
    override = place.scale(6)
    assert place.spec("Deployment")["replicas"] == 6
    place.engine.undo(override)
    assert place.spec("Deployment")["replicas"] == 2


@pytest.mark.parametrize(
    ("scaler", "held", "free"),
    [
        (SCALED, lambda one: one["metadata"]["annotations"][objects.KEDA_PAUSED] == "true",
         lambda one: objects.KEDA_PAUSED not in one["metadata"]["annotations"]),
        (HPA, lambda one: {rules["selectPolicy"] for rules in one["spec"]["behavior"].values()} == {"Disabled"},
         lambda one: one["spec"] == HPA["spec"]),
    ],
    ids=["keda", "hpa"],
)  # fmt: skip
def test_a_pause_holds_the_scaler_until_its_last_queue_is_resumed(scaler: Any, held: Any, free: Any) -> None:
    place = Place(DEPLOYMENT, scaler)
    io, mail = place.pause("io"), place.pause("mail")
    state = place.documents.get("ConfigMap", "celery-ops")
    assert objects.paused_queues(state) == ["io", "mail"]
    place.engine.undo(io)
    assert objects.paused_queues(place.documents.get("ConfigMap", "celery-ops")) == ["mail"]
    assert held(place.documents.get(scaler["kind"], NAME))
    place.engine.undo(mail)
    assert objects.paused_queues(place.documents.get("ConfigMap", "celery-ops")) == []
    assert free(place.documents.get(scaler["kind"], NAME))


def test_an_override_ends_at_its_time_and_not_before() -> None:
    place = Place(DEPLOYMENT, SCALED)
    place.scale(5, until=1060.0)
    place.now = 1059.9
    assert place.engine.expire() == []
    place.now = 1060.0
    ((override, (step,)),) = place.engine.expire()
    assert (override.command, step.outcome) == ("scale io 5", "restored")
    assert place.spec("ScaledObject")["minReplicaCount"] == 1
    assert place.engine.expire() == []


def test_at_its_end_an_override_leaves_what_somebody_has_changed() -> None:
    place = Place(DEPLOYMENT, SCALED)
    place.scale(5, until=1060.0)
    place.documents.patch("ScaledObject", NAME, {"spec": {"minReplicaCount": 2}})
    place.now = 1061.0
    ((_, (step,)),) = place.engine.expire()
    assert step.outcome == "changed"
    assert place.spec("ScaledObject")["minReplicaCount"] == 2
    assert "somebody has set it to min 2" in place.engine.audit()[-1]["outcome"]


def test_what_is_kept_elsewhere_with_an_expiry_is_only_taken_off_the_list() -> None:
    place = Place(DEPLOYMENT)

    class Anything:
        def read(self, thing: str) -> None:
            return None

        def write(self, thing: str, setting: Any, *, until: float | None, mark: str | None) -> None:
            return None

    both = Engine(place.engine.documents, "celery", {"rate": Anything()}, by="somebody", clock=lambda: place.now)
    both.place("rate-limit send 10/m", {"rate/send": "10/m"}, until=1060.0)
    place.now = 1061.0
    assert both.active() == []
    ((_, (step,)),) = place.engine.expire()  # which knows no Redis
    assert step.outcome == "expired"


def test_the_audit_log_tells_who_did_what_and_does_not_grow_for_ever() -> None:
    place = Place(DEPLOYMENT, SCALED)
    place.engine.undo(place.scale(5))
    lines = place.engine.audit()
    assert [(line["by"], line["action"], line["id"]) for line in lines] == [
        ("somebody", "set", "id0"),
        ("somebody", "undo", "id0"),
    ]
    for number in range(AUDIT_LINES):
        place.engine.note("dlq replay", f"replay {number}", "1 replayed")
    assert len(place.engine.audit()) == AUDIT_LINES
    assert place.engine.audit()[-1]["command"] == f"replay {AUDIT_LINES - 1}"


def test_two_commands_at_once_do_not_forget_each_others_overrides() -> None:
    place = Place(DEPLOYMENT, SCALED)
    other = Place()
    other.documents, documents = place.documents, place.engine.documents
    real_patch = documents.patch
    raced = []

    def patch(kind: str, name: str, change: Mapping[str, Any]) -> dict[str, Any]:
        if kind == "ConfigMap" and not raced:
            raced.append(True)
            place.documents.patch(kind, name, {"data": {"somebody": "else"}})  # between our reading and our writing
        return real_patch(kind, name, change)

    documents.patch = patch  # type: ignore[method-assign]
    place.scale(5)
    state = place.documents.get("ConfigMap", "celery-ops")
    assert state is not None
    assert state["data"]["somebody"] == "else"
    assert [one.command for one in place.engine.active()] == ["scale io 5"]


def test_a_change_that_fails_is_stored_first_and_the_message_says_how_to_undo_it() -> None:
    place = Place(DEPLOYMENT, SCALED)
    real_patch = place.engine.documents.patch

    def patch(kind: str, name: str, change: Mapping[str, Any]) -> dict[str, Any]:
        if kind == "ScaledObject":
            raise HarnessError("the API server does not answer")
        return real_patch(kind, name, change)

    place.engine.documents.patch = patch  # type: ignore[method-assign]
    with pytest.raises(HarnessError, match=r"does not answer\n.*harness ops undo id0"):
        place.scale(5)
    (override,) = place.engine.active()
    (step,) = place.engine.preview_undo(override)
    assert step.outcome == "already"


def test_a_patch_made_from_an_older_version_is_refused() -> None:
    place = Place(DEPLOYMENT)
    with pytest.raises(ConflictError):
        place.engine.documents.patch("Deployment", NAME, {"metadata": {"resourceVersion": "0"}, "spec": {}})


def test_a_preview_changes_nothing() -> None:
    place = Place(DEPLOYMENT, SCALED)
    wish = wishes.scale(place.pools()["io"], 5, raise_max=False)
    (change,) = place.engine.preview("scale io 5", wish, until=None).override.changes
    assert (change.before, change.after) == ({"min": 1, "max": 5}, {"min": 5, "max": 5})
    assert place.spec("ScaledObject") == SCALED["spec"]
    assert place.documents.get("ConfigMap", "celery-ops") is None
