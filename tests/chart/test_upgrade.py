"""What an upgrade from the commit before asks of this chart: it takes the same values, and changes what may change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.chart.render import render
from tests.cluster.earlier import earlier

FIXED = ("selector", "volumeClaimTemplates", "serviceName", "podManagementPolicy")


def fixed(manifests: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what the API server lets nobody change, of each object that has any of it."""
    found = {}
    for manifest in manifests:
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            spec = manifest["spec"]
            found[manifest["kind"], manifest["metadata"]["name"]] = {key: spec.get(key) for key in FIXED}
    return found


@pytest.mark.parametrize("environments", ["prod,keda,kind", "dev"])
def test_the_values_of_the_commit_before_install_over_its_release(environments: str, tmp_path: Path) -> None:
    before = earlier(environments, tmp_path)
    former = fixed(render([before.values], chart=before.chart))
    assert former != {}
    now = fixed(render([before.values]))
    assert {name: now.get(name) for name in former} == former
