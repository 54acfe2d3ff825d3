"""Scenario files: what is read, and what each mistake says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from examx.catalogue import TASKS
from examx.standins import profile
from harness.chart.yaml_strict import parse
from harness.errors import InputError
from harness.spike.arrivals import plan
from harness.spike.scenario import DIRECTORY, available, load_scenario, parse_scenario, resolved_text
from tests.unit.planning import cases
from tests.unit.spike_load.conftest import SCENARIO, make

ISSUE = {
    "email-campaign",
    "email-slow",
    "email-5min",
    "ai-questions",
    "before-after",
    "mixed-surge",
    "spike-10x",
    "io-alone",
    "cpu-alone",
    "mixed-alone",
}


def test_a_scenario_is_read_whole_and_the_rest_has_defaults() -> None:
    scenario = make()
    assert (scenario.name, scenario.limit_seconds, scenario.seed) == ("small", 60, 7)
    assert scenario.services == {"seed": 7, "smtp": {"latency_seconds": 2}}
    assert [(task.task, task.share, task.kwargs) for task in scenario.tasks] == [
        ("mail", 3, {}),
        ("ask", 1, {"rows": 1}),
        ("pdf", 1, {}),
    ]
    assert scenario.publisher.connections == 8
    assert scenario.publisher.backoff.max_seconds == 5
    assert scenario.objectives[0].name == "lost"


# Each case: what is put in place of what, and what the message must say.
MISTAKES = [
    ("title: Small", "titel: Small", r"small.yaml.*'title' is missing"),
    ("seed: 7", "seed: 7\nnormal_slots: {io: 0}", r"small.yaml:6: normal_slots.io: is 0, must be above 0"),
    ("seed: 7", "seed: 7\nnormal_slots: {}", r"normal_slots: is empty, expected worker classes and slots"),
    (
        "seed: 7",
        "seed: 7\nnormal_slots: {io: 2}",
        r"small.yaml:6: normal_slots.io: io has no load in any phase; take it out",
    ),
    (
        "  - {name: burst, count: 100}",
        "  - {name: burst, seconds: 1, load: {io: 1, cpu: 1}}\nnormal_slots: {io: 2}",
        r"normal_slots: states no slots for cpu, which has a load",
    ),
    ("seed: 7", "seed: 7\nlimits: 3", r"small.yaml:6: limits: unknown key \(did you mean 'limit_seconds'\?\)"),
    ("seed: 7", "seed: 7\nseed: 8", r"small.yaml:6: key 'seed' is given twice"),
    ("seed: 7", "seed: seven", r"small.yaml:5: seed: is 'seven', expected a number"),
    ("seed: 7", "seed: 1.5", r"seed: is 1.5, expected a whole number"),
    ("limit_seconds: 60", "limit_seconds: 0", r"limit_seconds: is 0, must be above 0"),
    ("limit_seconds: 60", "limit_seconds: true", r"limit_seconds: is True, expected a number"),
    ("title: Small", "title: ' '", r"title: is ' ', expected text"),
    ("smtp: {latency_seconds: 2}", "smtp: 2", r"services.smtp: is 2, expected a mapping"),
    ("task: ask", "task: mail", r"small.yaml:10: tasks\[1\].task: mail is listed twice"),
    ("share: 3", "share: 0", r"tasks\[0\].share: is 0, must be above 0"),
    ("share: 3", "shares: 3", r"tasks\[0\].shares: unknown key \(did you mean 'share'\?\)"),
    ("kwargs: {rows: 1}", "kwargs: [1]", r"tasks\[1\].kwargs: is \[1\], expected a mapping"),
    ("count: 100", "count: 0", r"phases\[0\].count: is 0, must be at least 1"),
    (
        "count: 100",
        "count: 1, load: {io: 1}",
        r"phase 'burst' must state exactly one of count, rate_per_second and",
    ),
    ("count: 100", "seconds: 5", r"must state exactly one of"),
    ("count: 100", "rate_per_second: 5", r"small.yaml:13: phases\[0\]: 'seconds' is missing"),
    ("count: 100", "load: {}, seconds: 5", r"phases\[0\].load: is empty"),
    ("count: 100", "load: {io: 0}, seconds: 5", r"phases\[0\].load.io: is 0, must be above 0"),
    ("count: 100}", "count: 1}\n  - {name: burst, count: 1}", r"small.yaml:14: phases\[1\].name: a second phase named"),
    ("deadline_seconds: 30, ", "", r"publisher: 'deadline_seconds' is missing"),
    ("cpu_seconds: 0.001", "cpu_seconds: 1, backoff: {jitter: 2}", r"publisher.backoff: jitter must lie in 0..1"),
    ("cpu_seconds: 0.001", "cpu_seconds: 1, backoff: {jitters: 1}", r"publisher.backoff.jitters: unknown key"),
    ("{name: lost, max: 0}", "{name: lots, max: 0}", r"objectives\[0\]: unknown objective 'lots'"),
    (
        "{name: lost, max: 0}",
        "{name: p95_latency_ratio, phase: brust, baseline: burst, max: 2}",
        r"small.yaml:16: objectives\[0\].phase: there is no phase 'brust' \(did you mean 'burst'\?\)",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "message"), MISTAKES, ids=[case[1][:40] for case in MISTAKES])
def test_a_mistake_is_named_with_file_line_and_key(right: str, wrong: str, message: str) -> None:
    assert SCENARIO.count(right) == 1
    with pytest.raises(InputError, match=message):
        parse_scenario(parse(SCENARIO.replace(right, wrong), "small.yaml"), source=Path("small.yaml"))


def test_an_unknown_name_suggests_the_closest_and_lists_all() -> None:
    with pytest.raises(InputError, match=r"did you mean 'email-slow'.*ai-questions.*spike-10x"):
        load_scenario("email-slwo")


def test_a_path_may_be_given_instead_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SCENARIO)
    assert load_scenario(path) == load_scenario(str(path)) == make()
    with pytest.raises(InputError, match=r"gone.yaml: no such scenario file"):
        load_scenario(tmp_path / "gone.yaml")


def test_the_project_brings_the_scenarios_that_were_asked_for() -> None:
    assert set(available()) == ISSUE | {"calibration"}  # what `harness calibrate` runs


@pytest.mark.parametrize("name", sorted(ISSUE))
def test_each_scenario_demands_that_nothing_is_lost_or_refused_for_good(name: str) -> None:
    scenario = load_scenario(name)
    demands = {objective.name: objective.parameters for objective in scenario.objectives}
    assert demands["lost"] == demands["refused_finally"] == {"max": 0}
    assert scenario.source == str(DIRECTORY / f"{name}.yaml")


@pytest.mark.parametrize("name", sorted(ISSUE))
def test_each_scenario_fits_the_reference_application(name: str) -> None:
    scenario = load_scenario(name)
    profile.parse(scenario.services, name=name)
    latency = {key: value["latency_seconds"] for key, value in scenario.services.items() if key != "seed"}
    for task in scenario.tasks:
        service = TASKS[task.task].service
        if service == "database":
            assert task.service_seconds < 0.1
        else:  # the wait, and at most a little work besides
            assert latency[service] <= task.service_seconds <= latency[service] + 0.2, task.task


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("io-alone", {"io"}),
        ("cpu-alone", {"cpu"}),
        ("mixed-alone", {"mixed"}),
        ("mixed-surge", {"io", "cpu", "mixed"}),
        ("spike-10x", {"io", "cpu", "mixed"}),
    ],
)
def test_a_scenario_offers_all_tasks_of_its_classes_and_no_other(
    name: str, classes: set[str], topology: dict[str, Any]
) -> None:
    load = plan(load_scenario(name), _served(topology), run_id="run")
    expected = {task for task, spec in TASKS.items() if spec.worker_class in classes}
    assert {arrival.task for arrival in load.arrivals} == expected


def _served(topology: dict[str, Any]) -> dict[str, Any]:
    """The topology with a route for every task of the reference application."""
    routes = [{"task": task, "queue": spec.worker_class} for task, spec in TASKS.items()]
    concurrency = {"io": 200, "cpu": 4, "mixed": 16}
    workers = {key: {"concurrency": value, "replicas": {"min": 1, "max": 3}} for key, value in concurrency.items()}
    return {**topology, "routes": routes, "classes": workers}


@pytest.mark.parametrize("name", ["mixed-surge", "spike-10x"])
def test_the_normal_slots_of_a_scenario_are_those_of_production(name: str) -> None:
    scenario, production = load_scenario(name), cases.topology("prod")
    derived = replace(scenario, normal_slots=None)
    assert plan(scenario, production, run_id="r") == plan(derived, production, run_id="r")


@pytest.mark.parametrize("name", sorted(ISSUE))
def test_a_scenario_written_as_one_file_is_the_same_elsewhere(
    name: str, topology: dict[str, Any], tmp_path: Path
) -> None:
    moved = tmp_path / "moved.yaml"
    moved.write_text(resolved_text(name))
    original, found = load_scenario(name), load_scenario(moved)
    assert found == original
    assert plan(found, _served(topology), run_id="r") == plan(original, _served(topology), run_id="r")


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    """A scenario that takes its tasks and publisher from a file below its folder."""
    own, shared = [], []
    for block in re.split(r"\n(?=\S)", SCENARIO):
        (shared if block.startswith(("services:", "tasks:", "publisher:")) else own).append(block)
    (tmp_path / "mixes").mkdir()
    (tmp_path / "mixes" / "shared.yaml").write_text("\n".join(shared) + "\n")
    path = tmp_path / "small.yaml"
    path.write_text("extends: mixes/shared.yaml\n" + "\n".join(own))
    return path


def test_a_scenario_that_extends_a_file_is_the_same_as_one_that_states_all(extended: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.yaml"
    whole.write_text(SCENARIO)
    assert load_scenario(extended) == load_scenario(whole)


def test_a_scenarios_own_key_stands_over_the_one_it_extends(extended: Path) -> None:
    extended.write_text(extended.read_text() + "services:\n  smtp: {latency_seconds: 9}\n")
    assert load_scenario(extended).services["smtp"] == {"latency_seconds": 9}


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("../shared.yaml", "in or below the scenario's folder"),
        ("/etc/passwd", "in or below the scenario's folder"),
        ("mixes/none.yaml", "no such file"),
    ],
)
def test_a_file_to_extend_must_be_there_and_below(extended: Path, wrong: str, complaint: str) -> None:
    extended.write_text(extended.read_text().replace("mixes/shared.yaml", wrong))
    with pytest.raises(InputError, match=complaint):
        load_scenario(extended)


def test_an_unknown_key_of_the_extended_file_is_named_with_its_line(extended: Path) -> None:
    shared = extended.parent / "mixes" / "shared.yaml"
    shared.write_text(shared.read_text() + "phases: []\n")
    with pytest.raises(InputError, match=r"shared\.yaml:\d+: phases: unknown key"):
        load_scenario(extended)


def test_a_scenario_written_as_one_file_extends_nothing_and_keeps_its_own_keys(extended: Path, tmp_path: Path) -> None:
    extended.write_text(extended.read_text() + "services:\n  smtp: {latency_seconds: 9}\n")
    text = resolved_text(extended)
    alone = tmp_path / "alone" / "scenario.yaml"
    alone.parent.mkdir()
    alone.write_text(text)
    assert "extends" not in text
    assert load_scenario(alone) == load_scenario(extended)


def test_what_is_wrong_is_said_of_the_file_that_was_written(extended: Path) -> None:
    shared = extended.parent / "mixes" / "shared.yaml"
    shared.write_text(shared.read_text() + "phases: []\n")
    with pytest.raises(InputError, match=r"shared\.yaml:\d+: phases: unknown key"):
        resolved_text(extended)
