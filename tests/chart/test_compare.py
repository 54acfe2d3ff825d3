"""A comparison from the values it names to its page: both sides held to one budget, and gone on with after a cut."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.chart import render
from harness.cli import cli
from harness.cluster.capacity import demands
from harness.compare import run, sides, state
from harness.compare.budget import Budget
from harness.compare.state import Begun, Wanted
from harness.errors import InputError
from harness.planning.cost_files import load_prices
from harness.simulation.cost import GIB
from harness.spike import result
from harness.spike.cluster_site import on_kind
from harness.spike.local_site import LocalSite
from harness.spike.progress import SilentProgress
from harness.spike.scenario import load_scenario
from tests.unit.compare.made import surge

SCENARIOS = ("before-after", "interference")


class Place(LocalSite):
    """A machine of two cores, which both scenarios must fit on both sides."""

    def cores(self) -> int:
        return 2


def begin(reports: Path, **changes: Any) -> Begun:
    wanted = Wanted(scenarios=SCENARIOS, before="baseline", after="prod,keda", runtime="local", runs=2)
    return state.begin(reports, replace(wanted, **changes), site=Place())


def maxima(begun: Begun, name: str) -> dict[str, int]:
    """Return the maximum of each autoscaler that a side's values render to, by its target."""
    manifests = render.render(Place().values(begun.request(begun.scenarios[0], name)))
    found = {}
    for one in manifests:
        if one["kind"] in ("HorizontalPodAutoscaler", "ScaledObject"):
            spec = one["spec"]
            found[spec["scaleTargetRef"]["name"]] = spec.get("maxReplicas") or spec["maxReplicaCount"]
    return found


def test_both_ways_get_what_the_old_ways_four_pods_request(tmp_path: Path) -> None:
    begun = begin(tmp_path)
    assert begun.budget == Budget(cores=4, memory_gib=64)
    before, after = (begun.sides[name].bought for name in ("before", "after"))
    assert (sum(before.pods.values()), before.slots, before.requested) == (4, 32, begun.budget)
    assert after.pods == {"io": 2, "cpu": 3, "mixed": 1}
    assert begun.budget.holds(after.requested)
    assert maxima(begun, "before") == dict.fromkeys(
        (f"celery-{name}-worker" for name in ("bulk-upload", "default", "enrichment", "question-generator-ai")), 1
    )
    assert maxima(begun, "after") == {"celery-io-worker": 2, "celery-cpu-worker": 3, "celery-mixed-worker": 1}


@pytest.mark.parametrize("name", ["before", "after"])
def test_on_kind_the_same_pods_ask_for_a_quarter(tmp_path: Path, name: str) -> None:
    begun = begin(tmp_path, runtime="kind")
    manifests = render.render(list(on_kind().values(begun.request(begun.scenarios[0], name))))
    asked = [one for one in demands(manifests) if one.name.endswith("-worker")]
    bought = begun.sides[name].bought
    assert sum(one.replicas for one in asked) == sum(bought.pods.values())
    assert float(sum(one.total.cpu for one in asked)) == pytest.approx(bought.requested.cores / 4)
    assert float(sum(one.total.memory for one in asked)) == bought.requested.memory_gib * GIB / 4


def test_a_larger_budget_buys_the_old_way_pods_where_its_tasks_are(tmp_path: Path) -> None:
    begun = begin(tmp_path, budget=Budget(cores=8, memory_gib=128))
    assert begun.sides["before"].bought.pods["default"] == 4
    assert sum(begun.sides["before"].bought.pods.values()) == 8
    assert begun.sides["after"].bought.pods == {"io": 5, "cpu": 3, "mixed": 2}  # its own maxima


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": Budget(cores=3, memory_gib=64)}, r"--budget: baseline: the minimum requests 4 cores"),
        ({"after": "prdo"}, r"unknown environment 'prdo'"),
        ({"scenarios": ("before-aftr",)}, r"did you mean 'before-after'"),
        ({"scenarios": ("mixed-surge",)}, r"no worker class 'io' in these values"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        begin(tmp_path, **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_class_without_requests_cannot_be_held_to_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sides.facts.classes_of

    def without(*arguments: Any) -> dict[str, Any]:
        return {name: {**one, "cpu_request_cores": None} for name, one in found(*arguments).items()}

    monkeypatch.setattr(sides.facts, "classes_of", without)
    with pytest.raises(InputError, match=r"workers\.bulk-upload\.resources\.requests"):
        sides.budget_of("baseline")


def leave(begun: Begun, name: str, *, number: int, passed: bool = True) -> None:
    """Leave what a finished run of each scenario leaves."""
    made = surge()
    for scenario in begun.scenarios:
        own = replace(
            made,
            scenario=scenario.name,
            run_id=f"{scenario.name}-{number}",
            started_at=made.started_at + number,
            passed=passed,
        )
        result.write(own, begun.directory / name / own.run_id)


def test_one_that_was_cut_goes_on_with_what_is_missing_and_ends_with_its_page(tmp_path: Path) -> None:
    begun = begin(tmp_path)
    assert [(number, one.name, side) for number, one, side in begun.missing()] == [
        (1, "before-after", "before"), (2, "before-after", "after"),
        (3, "interference", "before"), (4, "interference", "after"),
        (5, "before-after", "after"), (6, "before-after", "before"),
        (7, "interference", "after"), (8, "interference", "before"),
    ]  # fmt: skip
    leave(begun, "before", number=1)
    leave(begun, "after", number=1)
    leave(begun, "after", number=2)
    again = state.resumed(begun.directory)
    assert again == begun
    assert [(number, side) for number, _, side in again.missing()] == [(6, "before"), (8, "before")]
    leave(begun, "before", number=2)
    found = run.perform(again, site=Place(), progress=SilentProgress(), prices=load_prices(), foretell=None)
    assert [(one.scenario, len(one.before), len(one.after)) for one in found.compared] == [
        (name, 2, 2) for name in SCENARIOS
    ]
    told = json.loads((begun.directory / "result.json").read_text())
    assert told["scenarios"]["interference"]["measures"]["drain_seconds"]["ratio"]["median"] == 1
    assert (begun.directory / "report.html").stat().st_size > 100_000


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_the_command_tells_what_there_is_and_ends_by_the_runs_objectives(
    tmp_path: Path, passed: bool, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    begun = begin(tmp_path, runs=1)
    leave(begun, "before", number=1)
    leave(begun, "after", number=1, passed=passed)
    shown = CliRunner().invoke(cli, ["compare", "--resume", str(begun.directory), "--no-forecast", "--open"])
    assert shown.exit_code == code, shown.output
    assert "What its minimum leaves" in " ".join(shown.output.split())
    assert "Tasks in work at once, at most" in shown.output
    assert opened == [(begun.directory / "report.html").resolve().as_uri()]
    as_json = CliRunner().invoke(cli, ["compare", "--resume", str(begun.directory), "--no-forecast", "--json"])
    assert json.loads(as_json.stdout)["passed"] is passed


@pytest.mark.parametrize("text", ["4", "4,none", "0,64", "4,64,1"])
def test_a_budget_is_two_numbers(text: str) -> None:
    done = CliRunner().invoke(cli, ["compare", "--budget", text])
    assert isinstance(done.exception, InputError)
    assert f"--budget {text}" in str(done.exception)


def test_a_folder_that_is_no_comparison_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["compare", "--resume", str(tmp_path)])
    assert isinstance(done.exception, InputError)
    assert "not a comparison that was begun" in str(done.exception)


def test_the_default_scenarios_offer_both_ways_the_same_tasks_at_the_same_seconds() -> None:
    offered = []
    for environment in ("baseline", "prod,keda"):
        topology = render.topology(render.render(render.environment_files(environment)))
        plans = [sides.arrivals.plan(load_scenario(name), topology, run_id="r") for name in SCENARIOS]
        offered.append([[(one.due_seconds, one.task, one.phase) for one in plan.arrivals] for plan in plans])
    assert offered[0] == offered[1]
