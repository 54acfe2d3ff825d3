"""What an upgrade replaces: pods when what they read changes, the topology Job when what it does changes."""

from __future__ import annotations

from typing import Any

import pytest

from harness.chart.render import environment_files, render

CHECKSUM = "celery-workers/config-checksum"


def manifests(**set_values: Any) -> list[dict[str, Any]]:
    return render(environment_files("prod"), set_values=set_values)


def checksums(**set_values: Any) -> set[str]:
    return {
        manifest["spec"]["template"]["metadata"]["annotations"][CHECKSUM]
        for manifest in manifests(**set_values)
        if manifest["kind"] == "Deployment"
    }


def job_name(**set_values: Any) -> str:
    (name,) = [manifest["metadata"]["name"] for manifest in manifests(**set_values) if manifest["kind"] == "Job"]
    return name


@pytest.mark.parametrize(
    "change",
    [
        {"workers.io.replicas.max": 9},
        {"workers.io.scaler": "none"},
        {"workers.io.terminationGracePeriodSeconds": 900},
        {"workers.io.queues.io.maxLength": 9000},
        {"workers.io.queues.io.messageTtl": "1h"},
        {"workers.mixed.queues.mixed.consumerTimeout": "3h"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_pods_stay_when_only_scaling_or_policies_change(change: dict[str, Any]) -> None:
    """The checksum leaves out what acts without a restart, yet the Job runs again for the policies."""
    assert checksums(**change) == checksums()
    assert job_name(**change) != job_name()


@pytest.mark.parametrize(
    "change",
    [
        {"workers.io.prefetchMultiplier": 2},
        {"workers.io.timeLimits.hard": "10m"},
        {"workers.io.queues.io.overflow": "reject-publish-dlx"},
        {"workers.io.queues.extra": {}},
        {"priorities.email": 7},
        {"defaultQueue": "mixed"},
        {"deadLetters.exchange": "other"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_pods_are_replaced_when_what_they_read_changes(change: dict[str, Any]) -> None:
    """Every setting a worker or a publishing task reads at its start is in the checksum."""
    assert checksums(**change).isdisjoint(checksums())


def test_the_job_is_another_one_when_its_pod_changes() -> None:
    """A Job's template is immutable: the same name with another image would fail the upgrade."""
    assert job_name(**{"image.tag": "2.0"}) != job_name()
    assert job_name() == job_name()


def test_the_job_runs_again_for_another_pod_of_the_embedded_broker() -> None:
    """That broker has no storage: a new pod of it knows no queue, so what replaces it runs the Job as well."""
    assert job_name(**{"broker.embedded.image.tag": "4.1-management"}) == job_name()
    development = {"environment": "dev"}
    assert job_name(**development, **{"broker.embedded.image.tag": "4.1-management"}) != job_name(**development)
