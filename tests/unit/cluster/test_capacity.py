"""Whether a run fits its cluster, and what values/kind.yaml divides."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from harness.chart import manifests as look
from harness.chart import values as chart_values
from harness.cluster.capacity import Demand, Room, check, demands, nodes_room, requested
from harness.errors import InputError

FACTOR, DELAY_FACTOR = 4, 15
GIB = Fraction(2**30)


def _room(cpu, memory):
    return Room(Fraction(cpu), memory * GIB)


def _node(name, *, taints=(), cpu="2", memory="8Gi"):
    return {
        "metadata": {"name": name},
        "spec": {"taints": [{"effect": effect} for effect in taints]},
        "status": {"allocatable": {"cpu": cpu, "memory": memory}},
    }


def _pod(node, cpu, phase="Running"):
    container = {"resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}
    return {"spec": {"nodeName": node, "containers": [container]}, "status": {"phase": phase}}


def test_room_is_what_pods_leave_on_nodes_that_take_them():
    nodes = [_node("a"), _node("b", taints=["NoSchedule"])]
    pods = [_pod("a", "500m"), _pod("a", "1", phase="Succeeded"), _pod("b", "1")]
    assert nodes_room(nodes, pods) == {"a": _room(Fraction(3, 2), 7)}


def test_a_pod_asks_for_what_its_containers_ask_for():
    pod = {
        "containers": [{"resources": {"requests": {"cpu": "100m"}}}, {"resources": {"requests": {"memory": "1Gi"}}}, {}]
    }
    assert requested(pod) == _room(Fraction(1, 10), 1)


def _container(cpu, **more):
    return {"resources": {"requests": {"cpu": cpu}}, **more}


def test_sidecars_count_with_the_containers_and_init_containers_where_they_need_more():
    sidecar, container = _container("200m", restartPolicy="Always"), _container("100m")
    init = [sidecar, _container("50m")]
    assert requested({"initContainers": init, "containers": [container]}) == _room(Fraction(3, 10), 0)
    large = [sidecar, _container("400m")]
    assert requested({"initContainers": large, "containers": [container]}) == _room(Fraction(6, 10), 0)
    before = [_container("400m"), sidecar]
    assert requested({"initContainers": before, "containers": [container]}) == _room(Fraction(4, 10), 0)


def test_a_job_asks_for_the_pods_it_runs_at_a_time():
    job = {
        "kind": "Job",
        "metadata": {"name": "load"},
        "spec": {"template": {"spec": {"containers": [_container("100m")]}}},
    }
    parallel = {**job, "spec": {**job["spec"], "parallelism": 3}}
    assert [(one.replicas, one.pod.cpu) for one in demands([job, parallel])] == [
        (1, Fraction(1, 10)),
        (3, Fraction(1, 10)),
    ]


def test_scalers_say_the_maximum():
    deployment = {"kind": "Deployment", "metadata": {"name": "io"}, "spec": {"template": {"spec": {"containers": []}}}}
    target = {"scaleTargetRef": {"name": "io"}}
    hpa = {"kind": "HorizontalPodAutoscaler", "spec": {**target, "maxReplicas": 5}}
    keda = {"kind": "ScaledObject", "spec": {**target, "maxReplicaCount": 7}}
    assert [one.replicas for one in demands([deployment])] == [1]
    assert [one.replicas for one in demands([deployment, hpa])] == [5]
    assert [one.replicas for one in demands([deployment, keda])] == [7]


def test_pods_that_fit_one_by_one_on_some_node_are_accepted():
    check([Demand("io", 3, _room(1, 1))], {"a": _room(2, 8), "b": _room(1, 8)})


def test_a_pod_no_node_holds_is_refused_though_the_sum_would_fit():
    with pytest.raises(InputError, match=r"pod 1 of 1 of big .* fits on no node .*a 1\.00 cores"):
        check([Demand("big", 1, _room(Fraction(3, 2), 1))], {"a": _room(1, 8), "b": _room(1, 8)})


def test_memory_counts_as_cpu_does():
    with pytest.raises(InputError, match="pod 3 of 3"):
        check([Demand("io", 3, _room(Fraction(1, 10), 4))], {"a": _room(2, 8)})


def test_nodes_of_one_machine_cannot_hold_more_than_it_has():
    nodes = {"a": _room(2, 8), "b": _room(2, 8)}
    check([Demand("io", 3, _room(1, 1))], nodes)
    with pytest.raises(InputError, match=r"asks for 3\.00 cores.*the machine has 2\.00 cores.*values/kind\.yaml"):
        check([Demand("io", 3, _room(1, 1))], nodes, machine=_room(2, 8))


def _resources(values, path=""):
    """Yield everything under a key `resources`, by its place in the values."""
    for key, value in values.items():
        if key == "resources":
            yield path, value
        elif isinstance(value, dict):
            yield from _resources(value, f"{path}.{key}".lstrip("."))


def test_kind_divides_every_request_and_limit_by_one_factor():
    chart = dict(_resources(chart_values.load_values([])))
    small = dict(_resources(chart_values.load_values(chart_values.environment_files("prod,kind"))))
    assert {"beat", "exporter", "broker.cluster", "helmTest", "workers.io"} <= chart.keys()
    for name, resources in chart.items():
        for part in resources:
            for key, value in resources[part].items():
                divided = look.quantity(value) / FACTOR
                wanted = Fraction(math.ceil(divided * 1000), 1000) if key == "cpu" else divided
                assert look.quantity(small[name][part][key]) == wanted, (name, part, key)


def test_kind_lets_workers_that_wait_use_as_many_cores_before_it_adds_one():
    chart = chart_values.load_values([])["workers"]
    small = chart_values.load_values(chart_values.environment_files("kind"))["workers"]
    raised = chart["io"]["targets"] | {"cpuUtilization": FACTOR * chart["io"]["targets"]["cpuUtilization"]}
    assert {name: one["targets"] for name, one in small.items()} == {
        name: raised if name == "io" else one["targets"] for name, one in chart.items()
    }
    io = small["io"]["resources"]
    allowed = look.quantity(io["limits"]["cpu"]) / look.quantity(io["requests"]["cpu"])
    assert raised["cpuUtilization"] < 100 * allowed


def test_kind_shortens_the_waits_of_scaling_down_and_nothing_else_of_it():
    chart = chart_values.load_values([])["workers"]
    small = chart_values.load_values(chart_values.environment_files("kind"))["workers"]
    for name, worker in chart.items():
        before, after = worker["behavior"]["scaleDown"], small[name]["behavior"]["scaleDown"]
        assert after["stabilizationWindowSeconds"] * DELAY_FACTOR == before["stabilizationWindowSeconds"]
        assert [p | {"periodSeconds": p["periodSeconds"] * DELAY_FACTOR} for p in after["policies"]] == before[
            "policies"
        ]
        assert small[name]["behavior"]["scaleUp"] == worker["behavior"]["scaleUp"]
        untouched = worker.keys() - {"resources", "behavior", "targets"}
        assert {key: small[name][key] for key in untouched} == {key: worker[key] for key in untouched}
