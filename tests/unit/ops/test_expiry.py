"""What undoes an override in a cluster: the Job's manifests, and its program on objects of this process."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kubernetes_validate import utils as kubernetes_schema

from harness.errors import HarnessError
from harness.ops import cluster_target, expiry, expiry_job, wishes
from harness.ops.overrides import Change, Override
from tests.unit.ops.test_engine import DEPLOYMENT, HPA, SCALED, Place

RESTRICTED_POD = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
WORKER = {
    "spec": {
        "template": {
            "spec": {
                "serviceAccountName": "celery",
                "securityContext": RESTRICTED_POD,
                "nodeSelector": {"pool": "workers"},
                "containers": [
                    {
                        "name": "worker",
                        "image": "examx:1",
                        "securityContext": RESTRICTED,
                        "env": [
                            {"name": "CELERY_BROKER_URL", "valueFrom": {"secretKeyRef": {"name": "b", "key": "k"}}},
                            {"name": "SECRET_OF_THE_APPLICATION", "value": "x"},
                        ],
                        "volumeMounts": [
                            {"name": "config", "mountPath": "/etc/celery-workers"},
                            {"name": "data", "mountPath": "/data"},
                        ],
                    }
                ],
                "volumes": [
                    {"name": "config", "configMap": {"name": "celery-config"}},
                    {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
                ],
            }
        }
    }
}


def override(*things: str, seconds: float = 600) -> Override:
    changes = tuple(Change(thing, None, True) for thing in things)
    return Override("a1b2c3", "some command", changes, "somebody", 1000.0, 1000.0 + seconds)


SCALE = override("floor/HorizontalPodAutoscaler/celery-io-worker")
PAUSE = override("paused/io", "hold/ScaledObject/celery-io-worker")
BARE = override("floor/Deployment/celery-io-worker")
RATE = override("worker-rate/send")


def documents(one: Override) -> list[dict[str, Any]]:
    files = cluster_target.programs_of(one)
    job = expiry_job.job(one, WORKER, release="celery", namespace="n", files=files)
    rest = expiry_job.companions(one, release="celery", namespace="n", owner_uid="u", files=files)
    return [dict(job), *map(dict, rest)]


def pod(one: Override) -> dict[str, Any]:
    found: dict[str, Any] = documents(one)[0]["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("one", [SCALE, PAUSE, BARE, RATE])
@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_its_objects_are_kubernetes_own(one: Override, version: str) -> None:
    for document in documents(one):
        kubernetes_schema.validate(document, version, strict=True)


@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_it_goes_with_the_release(version: str) -> None:
    job = cluster_target.owned(documents(SCALE)[0], {"metadata": {"name": "celery-config", "uid": "u", "labels": {}}})
    kubernetes_schema.validate(job, version, strict=True)
    (owner,) = job["metadata"]["ownerReferences"]
    assert owner == {"apiVersion": "v1", "kind": "ConfigMap", "name": "celery-config", "uid": "u"}
    assert job["metadata"]["labels"] == documents(SCALE)[0]["metadata"]["labels"]


@pytest.mark.parametrize(
    ("one", "rights"),
    [
        (SCALE, {"autoscaling/horizontalpodautoscalers": ["celery-io-worker"]}),
        (PAUSE, {"keda.sh/scaledobjects": ["celery-io-worker"]}),
        (BARE, {"apps/deployments/scale": ["celery-io-worker"]}),
        (RATE, {}),
    ],
)
def test_it_may_read_and_patch_what_was_changed_and_no_more(one: Override, rights: dict[str, list[str]]) -> None:
    rules = expiry_job.rules(one, release="celery")
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "patch"}
    named = {f"{rule['apiGroups'][0]}/{rule['resources'][0]}": rule["resourceNames"] for rule in rules}
    assert named == {"/configmaps": ["celery-ops"], **rights}


def test_it_runs_as_the_workers_do_without_what_is_the_applications() -> None:
    found = pod(SCALE)
    (container,) = found["containers"]
    assert (container["image"], container["securityContext"]) == ("examx:1", RESTRICTED)
    assert (found["securityContext"], found["nodeSelector"]) == (RESTRICTED_POD, {"pool": "workers"})
    assert found["serviceAccountName"] == "celery-ops-a1b2c3"
    assert {one["name"] for one in container["env"]} & {"CELERY_BROKER_URL", "SECRET_OF_THE_APPLICATION"} == set()
    assert {one["name"] for one in found["volumes"]} == {"undo", "tmp"}


def test_it_knows_the_broker_only_where_workers_have_to_be_told() -> None:
    found = pod(RATE)
    assert "CELERY_BROKER_URL" in {one["name"] for one in found["containers"][0]["env"]}
    assert {one["name"] for one in found["volumes"]} == {"undo", "tmp", "config"}


def test_it_outlives_the_override_and_nothing_of_it_stays() -> None:
    job, *rest = documents(SCALE)
    assert job["spec"]["activeDeadlineSeconds"] > 600
    assert job["spec"]["suspend"]
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    for document in rest:
        (owner,) = document["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("Job", job["metadata"]["name"])


def test_no_deployment_budget_or_network_rule_of_the_workers_takes_it_for_one_of_them() -> None:
    labels = documents(SCALE)[0]["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] != "celery-workers"
    assert wishes.CLASS_LABEL not in labels


def test_its_programs_need_nothing_that_is_not_with_them(tmp_path: Path) -> None:
    """In a directory of their own, with the standard library alone; what needs Celery is only looked into."""
    for name, text in cluster_target.programs_of(RATE).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    imported = "harness.ops.expiry"
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {imported} as it; print(it.__file__)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == str(tmp_path / "harness/ops/expiry.py"), done.stderr
    for path in tmp_path.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness"):
                package = tmp_path / (node.module or "").replace(".", "/")
                for name in node.names:
                    there = package.with_suffix(".py").exists() or (package / f"{name.name}.py").exists()
                    assert there, f"{path.name}: {node.module}.{name.name}"


def waiting(place: Place) -> Any:
    """A sleep that lets the place's time go by."""

    def sleep(seconds: float) -> None:
        place.now += seconds

    return sleep


def test_its_program_waits_for_the_end_and_undoes() -> None:
    place = Place(DEPLOYMENT, SCALED)
    placed = place.scale(5, until=1100.0)
    said: list[str] = []
    expiry.run(place.engine, placed.id, say=said.append, sleep=waiting(place))
    assert place.spec("ScaledObject") == SCALED["spec"]
    assert 1100.0 <= place.now < 1101.0
    assert "set back to min 1, max 5" in said[0]


def test_its_program_ends_when_somebody_has_undone_the_override() -> None:
    place = Place(DEPLOYMENT, SCALED)
    placed = place.scale(5, until=5000.0)

    def undone_meanwhile(seconds: float) -> None:
        place.now += seconds
        place.engine.undo(placed)

    expiry.run(place.engine, placed.id, say=lambda text: None, sleep=undone_meanwhile)
    assert place.now <= 1000.0 + expiry.LOOK_SECONDS


def test_its_program_tries_again_when_the_api_server_is_away() -> None:
    place = Place(DEPLOYMENT, SCALED)
    placed = place.scale(5, until=1001.0)
    real, failures = place.engine.documents.get, [HarnessError("away"), HarnessError("away")]

    def get(kind: str, name: str) -> Any:
        if failures:
            raise failures.pop()
        return real(kind, name)

    place.engine.documents.get = get  # type: ignore[method-assign]
    said: list[str] = []
    expiry.run(place.engine, placed.id, say=said.append, sleep=waiting(place))
    assert [text.partition(":")[0] for text in said[:2]] == ["not done yet"] * 2
    assert place.spec("ScaledObject") == SCALED["spec"]


def test_an_autoscaler_that_keda_made_is_not_what_is_changed() -> None:
    of_keda = {**HPA, "metadata": {"name": "keda-hpa-io", "ownerReferences": [{"kind": "ScaledObject"}]}}
    for scalers in ([SCALED, of_keda], [of_keda, SCALED]):
        assert wishes.pools([DEPLOYMENT], scalers)["io"].kind == "ScaledObject"
