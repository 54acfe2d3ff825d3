"""Each claim can be read from what its own command writes: a result made up of that scenario on those values."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.chaos.faults import CATALOGUE
from harness.chart.values import ROOT
from harness.claims import catalogue
from harness.claims.catalogue import Runs, Trial
from harness.claims.verdicts import NOT_RUN, VALUES, File, judge
from harness.cli.compare import SCENARIOS
from harness.compare import state, summary
from harness.compare.state import Wanted
from harness.spike import facts, result
from harness.spike.arrivals import Arrival
from harness.spike.forecast import Forecast
from harness.spike.ledger import Counts, FinalState, Ledger, Publication, TaskRecord
from harness.spike.local_site import LocalSite
from harness.spike.prepared import Prepared, Request, prepare
from harness.spike.result import Result, RunFacts
from tests.unit.compare import made
from tests.unit.spike_report import scenes

CORES = 1000  # no run is refused for this machine's size
STARTED_AT = 1_000_000.0
CLAIMS = {one.id: one for one in catalogue.load()}
SPIKE = re.compile(r"make spike SCENARIO=(\S+) ENV=(\S+)")


def samples(prepared: Prepared, classes: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    pods = {"desired": 1, "running": 1, "ready": 1}
    return [
        {
            "t": second,
            "queues": {queue: {"ready": 1, "unacked": 1} for queue in prepared.topology["queues"]},
            "replicas": {one["deployment"]: pods for one in classes.values()},
            "cpu_cores": dict.fromkeys(classes, 0.1),
            "memory_bytes": dict.fromkeys(classes, 1),
        }
        for second in range(3)
    ]


def some(prepared: Prepared) -> Sequence[Arrival]:
    """Enough of a scenario's tasks for every queue, group and phase."""
    return prepared.plan.arrivals[::20]


def records(prepared: Prepared) -> tuple[TaskRecord, ...]:
    return tuple(
        TaskRecord(
            id=one.id, task=one.task, queue=one.queue, phase=one.phase, publication=Publication.ACCEPTED,
            state=FinalState.COMPLETED, death=None, first_attempt_at=STARTED_AT + one.due_seconds,
            accepted_at=STARTED_AT + one.due_seconds, done_at=STARTED_AT + one.due_seconds + 1, refused_at=(),
            resolved_late=False, stored=False,
        )
        for one in some(prepared)
    )  # fmt: skip


def of(request: Request) -> Result:
    """What a run of this leaves, every task of it done after a second, with a forecast of the same."""
    prepared = prepare(request, values=LocalSite().values(request), cores=CORES)
    classes = facts.classes_of(prepared.manifests, prepared.topology)
    found = records(prepared)
    names = [str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name for path in prepared.values]
    run = result.build(
        facts=RunFacts(
            run_id=prepared.run_id, scenario=prepared.scenario.name, runtime="local", started_at=STARTED_AT,
            duration_seconds=3, command=request.command, setup={"values_files": names, "classes": classes},
        ),
        ledger=Ledger(records=found, counts=Counts.of(found)),
        objectives=prepared.scenario.objectives,
        due_at={one.id: STARTED_AT + one.due_seconds for one in some(prepared)},
        samples=samples(prepared, classes),
        groups=prepared.scenario.groups,
    )  # fmt: skip
    told = Forecast.of(run, calibration={"source": "made up"}, written_at=STARTED_AT - 30)
    return replace(run, forecast=told.as_dict())


@cache
def spike_of(scenario: str, environment: str) -> File:
    request = Request(scenario=scenario, environment=environment, reports=Path("reports"))
    return file("run", of(request).as_dict())


def file(directory: str, document: Mapping[str, Any]) -> File:
    return File(f"{directory}/result.json", json.loads(json.dumps(document)))


def needed(test: Trial) -> list[Runs]:
    return [runs for runs in (test.runs, test.than) if runs is not None]


SPIKES = [
    pytest.param(test, id=f"{name}-{number}")
    for name, claim in CLAIMS.items()
    for number, test in enumerate(claim.tests)
    if all(SPIKE.fullmatch(runs.command) for runs in needed(test))
]


@pytest.mark.xdist_group("claims of spikes")  # runs are made up once for all that need them
@pytest.mark.parametrize("test", SPIKES)
def test_a_spikes_result_has_the_figure_measured_and_foretold(test: Trial) -> None:
    found = [SPIKE.fullmatch(runs.command) for runs in needed(test)]
    files = [spike_of(*match.groups()) for match in found if match is not None]
    claim = replace(CLAIMS["warm-pod"], tests=(replace(test, given=None),))
    judged = judge(claim, files)
    assert judged.verdict != NOT_RUN, judged.pending
    assert judged.measured[0].simulated == judged.measured[0].spread.median


def test_a_comparisons_runs_have_the_figures_and_are_no_runs_of_make_spike(tmp_path: Path) -> None:
    wanted = Wanted(scenarios=SCENARIOS, before="baseline", after="prod,keda", runtime="local", runs=1)
    begun = state.begin(tmp_path, wanted, site=LocalSite())
    files = [
        file(f"{begun.directory.name}/{side}/{scenario.name}", of(begun.request(scenario, side)).as_dict())
        for scenario in begun.scenarios
        for side in summary.SIDES
    ]
    run = scenes.campaign(2_000)
    compared = made.comparison([run], [run])
    scenario = {"before-after": summary.document(compared)["scenarios"][compared.compared[0].scenario]}
    whole = {**summary.document(compared), "scenarios": scenario}
    files.append(file(begun.directory.name, whole))
    judged = {claim.id: judge(claim, files) for claim in CLAIMS.values()}
    asked = {claim.id for claim in CLAIMS.values() for test in claim.tests if test.runs.command == "make compare"}
    assert {name: len(found.measured) for name, found in judged.items() if found.measured} == dict.fromkeys(asked, 1)
    assert all("make compare" not in found.pending for found in judged.values())
    assert all(one.given for found in judged.values() for one in found.measured)
    told = {name for name in asked if judged[name].measured[0].simulated is not None}
    assert told == asked - {"cost-60-percent"}  # a saving is reckoned from runs; no run is foretold in dollars


def test_chaos_counts_with_all_faults_only() -> None:
    (test,) = CLAIMS["breaker-keeps-tasks"].tests
    assert test.runs.where["by_phase"] == list(CATALOGUE)
    document = {
        "scenario": test.runs.where["scenario"],
        "setup": {"values_files": [f"values/{name}.yaml" for name in test.runs.where[VALUES]]},
        "by_phase": {"calm": {}, **{name: {} for name in CATALOGUE}},
        "lost": 0,
    }
    assert judge(CLAIMS["breaker-keeps-tasks"], [file("run", document)]).verdict != NOT_RUN
    some_faults = {**document, "by_phase": {"calm": {}, "kill-broker": {}}}
    assert judge(CLAIMS["breaker-keeps-tasks"], [file("run", some_faults)]).verdict == NOT_RUN


@pytest.mark.parametrize(
    "test",
    [pytest.param(test, id=one.id) for one in CLAIMS.values() for test in one.tests if test.figure.kind == "passed"],
)
def test_tests_that_must_pass_exist_and_the_command_runs_them(test: Trial) -> None:
    for name in test.figure.of:
        file, _, function = name.partition("::")
        assert test.runs.command == (
            "make e2e-full" if takes_long(ROOT / "tests" / "cluster" / file, function) else "make e2e"
        )


def takes_long(path: Path, function: str) -> bool:
    """Whether the test or its file has the mark `full`, so that `make e2e` leaves it out."""
    tree = ast.parse(path.read_text())
    (found,) = [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == function]
    marks: Sequence[ast.expr] = [
        *found.decorator_list,
        *(
            one.value
            for one in tree.body
            if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "pytestmark"
        ),
    ]
    return any("pytest.mark.full" in ast.unparse(mark) for mark in marks)
