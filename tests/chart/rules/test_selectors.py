"""What rules select in a cluster: the pods of one class, whatever the release is called, and nobody else's."""

from __future__ import annotations

import random
import re

import pytest

from harness.chart.values import environment_files
from harness.monitoring import rules
from harness.runtime.local.naming import generated_name, random_suffix

LONGEST_RELEASE = "a-release-with-a-name-as-long-as-helm-lets-it-be-long"


def pod_patterns(release: str) -> dict[str, str]:
    """Return class -> the regular expression that its pods match."""
    found = rules.of_values(environment_files("prod"), release=release)
    costs = [rule for rule in rules.recorded(found) if rule["record"] == "celery_workers:requested_cost:per_hour"]
    return {rule["labels"]["class"]: re.findall(r'pod=~"(.*?)"', rule["expr"])[0] for rule in costs}


def pod_of(deployment: str) -> str:
    """Return a pod's name as Kubernetes makes it: of the Deployment, its ReplicaSet's hash and five characters."""
    chance = random.Random(deployment)
    return generated_name(f"{deployment}-{random_suffix(chance, 10)}", chance)


@pytest.mark.parametrize(
    "release", ["celery", "celery-io", LONGEST_RELEASE[:36], LONGEST_RELEASE[:44], LONGEST_RELEASE]
)
def test_a_class_has_its_own_pods_and_no_others(release: str) -> None:
    patterns = pod_patterns(release)
    pods = {name: pod_of(f"{release}-{name}-worker") for name in patterns if len(f"{release}-{name}-worker") <= 63}
    assert pods
    for name, pod in pods.items():
        assert {other for other, pattern in patterns.items() if re.fullmatch(pattern, pod)} == {name}


def test_pods_of_a_release_or_class_with_a_longer_name_are_not_taken_for_ours() -> None:
    patterns = pod_patterns("celery")
    for deployment in ("celery-io-worker-b-worker", "celery-io-worker-exporter", "other-celery-io-worker"):
        assert not any(re.fullmatch(pattern, pod_of(deployment)) for pattern in patterns.values())
