"""How the scaling test of a cluster takes the controller's syncs from observations, and compares."""

from __future__ import annotations

from harness.autoscaling.spec import HpaSpec
from tests.cluster.syncs import controllers, disagreement, foretold, moments

METRIC = {"type": "External", "external": {
    "metric": {"name": "depth"}, "target": {"type": "AverageValue", "averageValue": "200"}
}}  # fmt: skip
SPEC = HpaSpec.from_manifest({
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "io"},
    "spec": {
        "scaleTargetRef": {"kind": "Deployment", "name": "io"}, "minReplicas": 1, "maxReplicas": 5,
        "metrics": [METRIC],
        "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 10}]}},
    },
})  # fmt: skip


def _seen(depths: dict[int, int], replicas: dict[int, int], status: dict[int, int], *, seconds: int = 60):
    """One observation a second; each value holds from its second on."""

    def at(values: dict[int, int], t: int) -> int:
        return next((value for since, value in sorted(values.items(), reverse=True) if since <= t), 0)

    return [
        {
            "t": float(t),
            "replicas": {"spec": at(replicas, t), "status": at(replicas, t)},
            "pods": [],
            "external": {"depth": [str(at(depths, t))]},
            "status": at(status, t),
        }
        for t in range(seconds)
    ]


def test_a_sync_lies_before_the_status_it_wrote_and_the_silent_ones_between():
    seen = _seen({}, {0: 1}, {0: 1, 5: 2, 35: 3})
    assert moments(seen) == [4, 19, 34, 49]


def test_a_replay_goes_on_from_its_own_decisions():
    seen = _seen({0: 0, 10: 1000}, {0: 1, 20: 3, 35: 5}, {0: 1, 5: 2, 20: 3, 35: 4})
    assert controllers(seen) == (1, 3, 5, 5)
    assert foretold(SPEC, seen) == [(1, 3, 5, 5)]


def test_a_value_that_changes_around_a_sync_may_have_been_seen_or_not():
    seen = _seen({0: 0, 20: 1000}, {0: 1, 20: 3, 35: 5}, {0: 1, 5: 2, 20: 3, 35: 4})
    assert sorted(foretold(SPEC, seen)) == [(1, 1, 3, 5), (1, 3, 5, 5)]


def test_one_sync_apart_agrees_and_two_do_not():
    assert disagreement((1, 3, 5, 5), (1, 1, 3, 5)) == ""
    assert disagreement((1, 3, 3, 3), (1, 1, 1, 3)).startswith("more than one sync apart")
    assert disagreement((1, 3, 5, 5), (1, 2, 5, 5)) == "another sequence"
