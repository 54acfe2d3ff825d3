"""`harness rules`: the plain file says what the PrometheusRule says, and Prometheus takes it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.chart import yaml_strict
from harness.chart.render import render
from harness.chart.values import environment_files
from harness.cli import cli
from harness.monitoring import rules
from tests.golden import refresh

ENABLED = {"monitoring.prometheusRule.enabled": True}


def harness(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["rules", *map(str, arguments)])


@pytest.mark.parametrize("environments", sorted(set(refresh.cases().values())))
def test_the_file_and_the_object_have_the_same_rules(environments: str, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "rules.yaml"
    done = harness("--env", environments, "--namespace", "exams", "--release", "two", "--output", file)
    assert done.exit_code == 0, done.output
    manifests = render(environment_files(environments), release="two", namespace="exams", set_values=ENABLED)
    [rule] = [manifest for manifest in manifests if manifest["kind"] == rules.KIND]
    assert yaml_strict.load_file(file) == {"groups": rule["spec"]["groups"]}


@pytest.mark.timeout(300)
def test_the_rules_of_every_golden_case_are_valid_to_prometheus(tmp_path: Path) -> None:
    program = shutil.which("promtool")
    assert program
    files = []
    for name, values in refresh.files().items():
        files.append(tmp_path / f"{name}.json")  # which is YAML too, and written a hundred times as fast
        files[-1].write_text(json.dumps(rules.of_values(values)))
    done = subprocess.run([program, "check", "rules", *files], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "duplicate" not in done.stdout + done.stderr


def test_without_output_they_are_printed() -> None:
    done = harness("--env", "prod")
    assert yaml_strict.load_text(done.stdout, "what it printed") == rules.of_values(environment_files("prod"))


def test_json_is_one_document() -> None:
    document = json.loads(harness("--env", "prod", "--json").stdout)
    assert document["groups"] == rules.of_values(environment_files("prod"))["groups"]
    assert document["values"] == ["values/prod.yaml"]
    assert document["file"] is None


def test_values_that_are_set_count() -> None:
    done = harness("--env", "prod", "--set", "monitoring.alerts.queueFilling.abovePercent=33")
    assert 'queue="io"} > 0.33' in done.stdout


def result(**queues: float | None) -> dict[str, object]:
    return {"by_queue": {queue.replace("_", "."): {"p50": seconds, "p95": 99.0} for queue, seconds in queues.items()}}


@pytest.mark.parametrize("wrapped", [True, False], ids=["plan", "run"])
def test_what_is_normal_comes_from_a_plan_or_a_run(tmp_path: Path, wrapped: bool) -> None:
    found = result(io=3.5, cpu=40, mixed=None)
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"scenario": "x", "result": found} if wrapped else found))
    done = harness("--env", "prod", "--normal-from", file)
    assert done.exit_code == 0, done.output
    assert 'monitoring.alerts.latencyHigh.normalSeconds: {"cpu": 40.0, "io": 3.5}' in done.stderr
    printed = yaml_strict.load_text(done.stdout, "what it printed")
    normal = [rule for rule in rules.recorded(printed) if "latency_normal" in rule["record"]]
    assert [rule["expr"].rpartition("+ ")[2] for rule in normal if "+ " in rule["expr"]] == ["40", "3.5"]
    kept = tmp_path / "rules.yaml"
    assert harness("--env", "prod", "--normal-from", file, "--output", kept).exit_code == 0
    assert yaml_strict.load_file(kept) == printed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON document"),
        ("[]", "neither the plan.json of one set of values nor a run's result.json"),
        ('{"plans": []}', "neither the plan.json of one set of values"),
        ('{"by_queue": {"other": {"p50": 3}}}', "nothing is normal"),
    ],
)
def test_a_file_that_says_nothing_of_what_is_normal_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(text)
    done = harness("--env", "prod", "--normal-from", file)
    assert words in str(done.exception)
    assert str(file) in str(done.exception)


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    done = harness("--env", "prod", "--output", tmp_path / "taken" / "rules.yaml")
    assert "name a file you may write" in str(done.exception)
