"""What a simulation is told of the production values."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from harness.errors import InputError
from harness.planning import place
from harness.planning.figures import assumed
from harness.planning.plant import plant
from harness.simulation.model import Plant, WorkerClass
from harness.spike.scenario import load_scenario
from tests.unit.planning.cases import case, manifests, topology


def class_of(plant: Plant, name: str) -> WorkerClass:
    return next(one for one in plant.classes if one.name == name)


def test_classes_queues_and_autoscalers_are_those_of_the_render() -> None:
    found = case().plant
    io = class_of(found, "io")
    assert (io.pool, io.slots, io.queues, io.replicas, io.grace_seconds) == ("gevent", 200, ("io",), 1, 330)
    assert io.cpu_request_milli == 200
    assert io.memory_request_milli == 2 * 1024**3 * 1000
    assert io.scaler is not None
    assert io.scaler.keda is not None
    assert (io.scaler.hpa.min_replicas, io.scaler.hpa.max_replicas) == (1, 5)
    queues = {queue.name: queue for queue in found.queues}
    assert (queues["io"].max_length_messages, queues["io"].overflow, queues["io"].ttl_seconds) == (
        5000,
        "reject-publish",
        1800,
    )
    assert queues["io"].priorities
    assert queues["cpu"].overflow == "reject-publish-dlx"


def test_without_keda_the_render_has_hpas() -> None:
    io = class_of(case(environment="prod").plant, "io")
    assert io.scaler is not None
    assert io.scaler.keda is None


@pytest.mark.parametrize(
    ("where", "cpu", "io"), [(place.local(2), 4.0, 1.0), (place.cluster(), 2.0, 1.0), (place.kind(2, ()), 2.0, 1.0)]
)
def test_a_pod_has_one_core_or_its_limit_and_processes_of_this_machine_have_none(
    where: place.Place, cpu: float, io: float
) -> None:
    found = case(where=where).plant
    assert (class_of(found, "cpu").cpu_cores, class_of(found, "io").cpu_cores) == (cpu, io)


def test_where_cores_are_short_pods_of_a_kind_cluster_have_them_by_their_requests() -> None:
    found = case(where=place.kind(2, ())).plant
    io, cpu = class_of(found, "io"), class_of(found, "cpu")
    assert io.cpu_weight is not None
    assert cpu.cpu_weight is not None
    assert 1.0 < cpu.cpu_weight / io.cpu_weight < 10.0  # 2,000 to 200 thousandths
    assert class_of(case(where=place.local(2)).plant, "io").cpu_weight is None


def test_only_an_ordinary_cluster_shares_nothing_with_the_load() -> None:
    assert case(where=place.local(2)).plant.nodes.cores == 2
    assert case(where=place.local(2)).plant.nodes.shared_with_load
    assert case(where=place.cluster()).plant.nodes.cores is None
    assert not case(where=place.cluster()).plant.nodes.shared_with_load


def test_a_deployment_without_a_scaler_keeps_its_replicas() -> None:
    fixed = [copy.deepcopy(one) for one in manifests() if one["kind"] != "ScaledObject"]
    for one in fixed:
        if one["kind"] == "Deployment":
            one["spec"]["replicas"] = 3
    scenario = load_scenario("email-campaign")
    found = plant(fixed, topology(), publishing=scenario.publisher, figures=assumed("local"), place=place.local(2))
    assert {(one.scaler, one.replicas) for one in found.classes} == {(None, 3)}


def test_an_autoscaler_that_a_cluster_would_refuse_is_bad_input() -> None:
    broken = [copy.deepcopy(one) for one in manifests()]
    for one in broken:
        if one["kind"] == "ScaledObject":
            one["spec"]["maxReplicaCount"] = 0
    publishing = load_scenario("email-campaign").publisher
    with pytest.raises(InputError, match="maxReplicaCount"):
        plant(broken, topology(), publishing=publishing, figures=assumed("local"), place=place.local(2))


def test_the_publisher_is_the_scenarios() -> None:
    found = case().plant.publisher
    assert (found.deadline_seconds, found.attempts_per_second, found.cpu_seconds) == (300, 900, 0.0005)
    assert found.confirm_seconds == assumed("local").confirm_seconds


def test_what_was_measured_of_the_rest_of_the_machine_stands_for_what_is_assumed_of_it() -> None:
    measured = replace(assumed("kind"), background_cores=0.31)
    assert case(figures=measured).plant.nodes.background_cores == 0.31
    assert case().plant.nodes.background_cores == place.local(2).nodes.background_cores
    assert case(figures=measured, where=place.cluster()).plant.nodes.background_cores == 0.0
