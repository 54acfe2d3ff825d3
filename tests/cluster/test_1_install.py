"""A user installs the chart."""

from __future__ import annotations

import pytest

from harness import tools
from harness.chart.render import render
from harness.chart.values import environment_files
from harness.chart.yaml_strict import dump_all
from tests.cluster.space import RELEASE, Space

ENVIRONMENTS = (
    "dev", "staging", "staging,keda", "uat", "uat,keda", "prod", "prod,keda", "prod,keda,kind",
    "baseline,phase-1", "baseline,phase-1,phase-2", "prod,keda,phase-3",
)  # fmt: skip


@pytest.mark.timeout(400)
def test_development_alone_comes_up_without_a_warning_under_restricted_pod_security(space: Space) -> None:
    space.install("dev", alone=True)
    assert space.warnings == []
    assert space.restarts() == {}
    space.wait_for("Complete", "jobs", "--all", seconds=60)
    assert "Phase:          Succeeded" in space.helm("test", RELEASE, "--timeout", "120s")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("major", [3, 4])
def test_the_api_server_accepts_every_environment(space: Space, major: int) -> None:
    for environments in ENVIRONMENTS:
        manifests = render(environment_files(environments), namespace=space.name, helm=tools.find_helm(major))
        # A Pod, as the release's test is one, needs a ServiceAccount that is there; a dry run makes none.
        space.kubectl.apply(
            [one for one in manifests if one["kind"] == "ServiceAccount"], doing="making the ServiceAccount"
        )
        answer = space.kubectl.run(
            "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-",
            "-o", "name", doing=f"trying {environments} rendered by helm {major}", stdin=dump_all(manifests),
        )  # fmt: skip
        assert len(answer.split()) == len(manifests)
