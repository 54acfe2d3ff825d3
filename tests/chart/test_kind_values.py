"""On kind every set of values asks for a quarter, whatever its classes are called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.chart import render
from harness.chart.manifests import quantity
from harness.cli import cli
from harness.spike.cluster_site import on_kind
from harness.spike.prepared import Request

FACTOR = 4


def resources(files: Any) -> dict[str, Any]:
    """Return what each Deployment's one container requests and may use."""
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]["containers"][0]["resources"]
        for one in render.render(list(files))
        if one["kind"] == "Deployment"
    }


def on_site(environment: str) -> list[Path]:
    return list(
        on_kind().values(Request(scenario="s", environment=environment, reports=Path("reports"), runtime="kind"))
    )


@pytest.mark.parametrize("environment", ["baseline", "baseline,phase-1,phase-2", "prod,keda"])
def test_every_class_asks_for_a_quarter_and_no_class_is_added(environment: str) -> None:
    usual, small = resources(render.environment_files(environment)), resources(on_site(environment))
    assert small.keys() == usual.keys()
    for name, asked in usual.items():
        for part in ("requests", "limits"):
            for key, value in asked[part].items():
                assert quantity(small[name][part][key]) == quantity(value) / FACTOR, (name, part, key)


def cpu_targets(files: Any) -> dict[str, int]:
    """Return each autoscaler's CPU target, in percent of the request."""
    return {
        one["spec"]["scaleTargetRef"]["name"]: metric["resource"]["target"]["averageUtilization"]
        for one in render.render(list(files))
        if one["kind"] == "HorizontalPodAutoscaler"
        for metric in one["spec"]["metrics"]
        if metric["resource"]["name"] == "cpu"
    }


@pytest.mark.parametrize(("environment", "raised"), [("baseline", ()), ("baseline,phase-1", None), ("prod", ("io",))])
def test_workers_that_wait_may_use_as_many_cores_before_one_is_added(
    environment: str, raised: tuple[str, ...] | None
) -> None:
    usual, small = cpu_targets(render.environment_files(environment)), cpu_targets(on_site(environment))
    assert usual
    for name, target in usual.items():
        waits = raised is None or name in {f"celery-{one}-worker" for one in raised}
        assert small[name] == (FACTOR * target if waits else target), name


def test_the_classes_of_the_chart_take_the_file_that_is_there() -> None:
    assert on_site("prod,keda")[2] == render.environment_files("kind")[0]
    assert on_site("prod,kind").count(render.environment_files("kind")[0]) == 1


def test_a_plan_for_kind_takes_the_same_values(tmp_path: Path) -> None:
    arguments = ["plan", "before-after", "--env", "baseline", "--runtime", "kind", "--no-explain", "--json"]
    done = CliRunner().invoke(cli, [*arguments, "--reports", str(tmp_path)])
    assert done.exit_code in (0, 1), done.output
    classes = json.loads(done.stdout)["result"]["setup"]["classes"]
    assert {name: one["cpu_request_cores"] for name, one in classes.items()} == dict.fromkeys(
        ("bulk-upload", "default", "enrichment", "question-generator-ai"), 1 / FACTOR
    )
