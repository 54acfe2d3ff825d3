"""Names of objects: long ones fit, and two releases of one namespace share none."""

from __future__ import annotations

import re
from typing import Any

import pytest

from harness.chart.invariants import check
from harness.chart.render import render
from tests.golden import refresh

LONGEST_RELEASE = "r" * 53  # helm's own limit
# Some names become host names or labels; none of the chart's is longer than that allows.
LONGEST_NAME = 63
LONG_QUEUE = 200
LONGEST_DELAYED_QUEUE = 182  # beside the wait and the longest release's name, which RabbitMQ has in 255 characters too


def long_class(name: str) -> dict[str, Any]:
    length = LONGEST_DELAYED_QUEUE if name == "feature-delayed-delivery" else LONG_QUEUE
    worker = {
        "queues": {"Q" * length: {}, "q" * length: {}},
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
        "targets": {"cpuUtilization": 50, "memoryUtilization": None},
    }
    return {"workers": {"c" * 40: worker}}


def identity(manifest: dict[str, Any]) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def label_values(value: Any) -> list[str]:
    """Return the values of every map called labels or matchLabels; an alert's are Prometheus', of any length."""
    if isinstance(value, list):
        return [found for one in value for found in label_values(one)]
    if not isinstance(value, dict):
        return []
    if value.get("kind") == "PrometheusRule":
        return label_values(value["metadata"])
    own = [text for key in ("labels", "matchLabels") for text in (value.get(key) or {}).values()]
    return own + [found for one in value.values() for found in label_values(one)]


# What makes names is in the features' renders; the environments differ in figures.
FILES = [
    name if name == "prod" or name.startswith("feature-") else pytest.param(name, marks=pytest.mark.full)
    for name in refresh.files()
]


@pytest.mark.parametrize("name", FILES)
def test_the_longest_release_and_class_fit(name: str) -> None:
    manifests = render(refresh.files()[name], release=LONGEST_RELEASE, set_values=long_class(name))
    names = [identity(manifest) for manifest in manifests]
    assert len(set(names)) == len(names)
    for kind, text in names:
        assert len(text) <= LONGEST_NAME, f"{kind}/{text}"
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", text), f"{kind}/{text}"
    assert [text for manifest in manifests for text in label_values(manifest) if len(text) > 63] == []
    assert [problem.text() for problem in check(manifests) if problem.severity == "error"] == []


def test_the_autoscaler_keda_makes_of_the_longest_release_fits() -> None:
    values = refresh.files()["keda"]
    for release in (LONGEST_RELEASE, "celery"):
        objects = [one for one in render(values, release=release) if one["kind"] == "ScaledObject"]
        assert objects
        for one in objects:
            config = one["spec"]["advanced"]["horizontalPodAutoscalerConfig"]
            assert len(config.get("name", f"keda-hpa-{one['metadata']['name']}")) <= LONGEST_NAME
            assert ("name" in config) == (release == LONGEST_RELEASE)


@pytest.mark.parametrize("name", FILES)
def test_two_releases_of_a_namespace_share_no_object(name: str) -> None:
    values = refresh.files()[name]
    one, other = (render(values, release=release) for release in ("celery", "celery-two"))
    assert not {identity(manifest) for manifest in one} & {identity(manifest) for manifest in other}


def test_what_belongs_to_the_cluster_is_told_apart_by_namespace() -> None:
    values = refresh.files()["feature-headroom"]
    found = [
        manifest["metadata"]["name"]
        for namespace in ("exams", "school")
        for manifest in render(values, namespace=namespace)
        if manifest["kind"] == "PriorityClass"
    ]
    assert len(set(found)) == 2
