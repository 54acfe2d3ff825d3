"""A user installs the chart."""

from __future__ import annotations

import pytest

from harness import tools
from harness.chart.render import render
from harness.chart.values import environment_files
from harness.chart.yaml_strict import dump_all
from tests.cluster.place import Space, eventually

ENVIRONMENTS = ("dev", "staging", "staging,keda", "uat", "uat,keda", "prod", "prod,keda", "prod,keda,kind")


@pytest.mark.timeout(300)
def test_development_alone_comes_up_without_a_warning_under_restricted_pod_security(space: Space) -> None:
    space.install("dev")
    assert space.warnings == []
    pods = space.get("pods", "--selector", "app.kubernetes.io/instance=celery")["items"]
    restarts = {
        pod["metadata"]["name"]: status["restartCount"] for pod in pods for status in pod["status"]["containerStatuses"]
    }
    assert set(restarts.values()) == {0}, restarts
    space.kubectl.run(
        "wait", "--for=condition=complete", "job", "--all", "-n", space.name, "--timeout=60s",
        doing="waiting for the topology Job", seconds=70,
    )  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize("major", [3, 4])
def test_the_api_server_accepts_every_environment(space: Space, major: int) -> None:
    for environments in ENVIRONMENTS:
        manifests = render(environment_files(environments), namespace=space.name, helm=tools.find_helm(major))
        answer = space.kubectl.run(
            "create", "--dry-run=server", "--validate=strict", "-f", "-", "-o", "name",
            doing=f"trying {environments} rendered by helm {major}", stdin=dump_all(manifests),
        )  # fmt: skip
        assert len(answer.split()) == len(manifests)


@pytest.mark.timeout(300)
def test_uninstalling_leaves_queues_and_nothing_else(space: Space) -> None:
    space.rabbitmq()
    space.install("prod,keda,kind")
    space.helm("uninstall", "celery", "--wait", "--timeout", "120s")
    kinds = "all,configmaps,secrets,serviceaccounts,pdb,scaledobjects,triggerauthentications,hpa"

    def nothing_left() -> bool:
        return not space.names(kinds, "app.kubernetes.io/instance=celery")

    eventually(nothing_left, seconds=60, what="idle workers' end")  # far less than their grace of minutes
    with space.management() as api:
        assert {"io", "cpu", "mixed"} <= api.depths().keys()
