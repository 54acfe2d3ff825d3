"""The load generator's objects on a cluster."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import kubernetes_validate
import pytest

from harness.cluster import outside
from harness.cluster.versions import versions
from harness.spike.load import LOCUSTFILE, Load
from harness.spike.loadjob import LoadJob, manifests

JOB = LoadJob(
    namespace="ns",
    image="examx-load:1",
    broker_url="amqp://user:secret@rabbitmq.ns:5672//",
    topology_json='{"queues": {}}',
    scenario_text="name: small\n",
    run_id="run",
    effects={"standins_url": "http://services.ns:8025"},
    limit_seconds=60.5,
    margin_seconds=30,
    start_at=1000.5,
)
SECRET, GIVEN, WORK = manifests(JOB)
POD = WORK["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


@pytest.mark.parametrize("document", [SECRET, GIVEN, WORK], ids=lambda one: one["kind"])
def test_objects_meet_kubernetes_schemas_and_are_in_the_namespace(document):
    kubernetes_validate.validate(document, versions().kubernetes.rpartition(".")[0], strict=True)
    assert (document["metadata"]["namespace"], document["metadata"]["name"]) == ("ns", "load")


def test_the_pod_meets_pod_security_restricted_and_writes_only_to_volumes():
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"name": "HOME", "value": "/tmp"} in CONTAINER["env"]


def test_it_is_tried_once_and_ends_a_margin_after_the_scenarios_limit():
    assert WORK["spec"]["backoffLimit"] == 0
    assert POD["restartPolicy"] == "Never"
    assert WORK["spec"]["activeDeadlineSeconds"] == 91
    assert "ttlSecondsAfterFinished" not in WORK["spec"]


def test_locust_is_started_as_on_this_machine_but_for_the_paths():
    here = Load(
        broker_url=JOB.broker_url,
        topology=Path("/load/topology.json"),
        scenario=Path("/load/scenario.yaml"),
        run_id="run",
        journals=Path("/effects/journals"),
        effects=JOB.effects,
        start_at=1000.5,
    )
    assert SECRET["stringData"] == here.settings()
    assert CONTAINER["command"][3:] == here.arguments(locustfile=Path("/opt/application/loadtests/spike.py"))
    assert LOCUSTFILE.parts[-2:] == ("loadtests", "spike.py")


def test_the_broker_and_its_password_stand_in_the_secret_only():
    assert "secret@" not in json.dumps([GIVEN, WORK])
    assert CONTAINER["envFrom"] == [{"secretRef": {"name": SECRET["metadata"]["name"]}}]


def test_what_is_given_is_where_the_settings_say():
    given = next(mount["mountPath"] for mount in CONTAINER["volumeMounts"] if mount["name"] == "given")
    settings = SECRET["stringData"]
    files = {Path(settings[name]) for name in ("CELERY_TOPOLOGY", "SPIKE_SCENARIO")}
    assert files == {Path(given) / name for name in GIVEN["data"]}


def test_journals_lie_on_the_volume_of_the_effects():
    volume = next(one for one in POD["volumes"] if "persistentVolumeClaim" in one)
    assert volume["persistentVolumeClaim"] == {"claimName": outside.CLAIM}
    mount = next(one for one in CONTAINER["volumeMounts"] if one["name"] == volume["name"])
    assert Path(SECRET["stringData"]["SPIKE_JOURNAL_DIR"]).is_relative_to(mount["mountPath"])


def test_a_load_that_need_not_wait_is_told_no_time():
    secret = manifests(dataclasses.replace(JOB, start_at=None))[0]
    assert "SPIKE_START_AT" not in secret["stringData"]
