"""How fast an autoscaler's rules allow a class to grow."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import InputError
from harness.spike.ramps import fastest_ramps


def deployment(name: str, replicas: int | None = None) -> dict[str, Any]:
    spec = {} if replicas is None else {"replicas": replicas}
    return {
        "kind": "Deployment",
        "metadata": {"name": f"celery-{name}-worker", "labels": {"celery-workers/class": name}},
        "spec": spec,
    }


def hpa(name: str, low: int, high: int, *policies: tuple[str, int, int]) -> dict[str, Any]:
    up = {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [{"type": kind, "value": value, "periodSeconds": period} for kind, value, period in policies],
    }
    target = {"type": "Utilization", "averageUtilization": 50}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": f"celery-{name}-worker"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"celery-{name}-worker"},
            "minReplicas": low,
            "maxReplicas": high,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            "behavior": {"scaleUp": up},
        },
    }


def test_the_guides_rules_for_io_are_four_at_once_and_seven_after_a_minute() -> None:
    rules = ("Pods", 3, 60), ("Percent", 100, 120)
    ramps = fastest_ramps([deployment("io"), hpa("io", 1, 10, *rules)], until_seconds=300)
    assert ramps == {"io": ((0.0, 1), (0.0, 4), (60.0, 7), (120.0, 10))}


def test_growth_ends_at_the_maximum_and_at_the_end_of_the_time_asked_for() -> None:
    slow = [deployment("cpu"), hpa("cpu", 1, 9, ("Pods", 1, 60))]
    assert fastest_ramps(slow, until_seconds=130)["cpu"] == ((0.0, 1), (0.0, 2), (60.0, 3), (120.0, 4))
    fast = [deployment("cpu"), hpa("cpu", 2, 3, ("Pods", 5, 60))]
    assert fastest_ramps(fast, until_seconds=300)["cpu"] == ((0.0, 2), (0.0, 3))


def test_a_class_without_an_autoscaler_stays_as_it_is() -> None:
    assert fastest_ramps([deployment("a", 3), deployment("b")], until_seconds=60) == {
        "a": ((0.0, 3),),
        "b": ((0.0, 1),),
    }


def test_other_objects_are_passed_over() -> None:
    others = [{"kind": "ConfigMap", "metadata": {"name": "x"}}, {"kind": "Deployment", "metadata": {"name": "web"}}]
    assert fastest_ramps(others, until_seconds=60) == {}


def test_an_autoscaler_that_a_cluster_would_refuse_is_bad_input() -> None:
    with pytest.raises(InputError, match=r"celery-io-worker"):
        fastest_ramps([deployment("io"), hpa("io", 5, 2, ("Pods", 1, 60))], until_seconds=60)
