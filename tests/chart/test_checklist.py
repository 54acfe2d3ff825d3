"""`harness checklist` on the files of values/, with a run's result beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from harness.chart import render
from harness.chart.render import environment_files
from harness.checklist.release import ALERTS
from harness.cli import cli
from harness.spike import facts, result
from tests.unit.spike_report.scenes import surge


def checklist(*arguments: str, code: int) -> dict[str, Any]:
    done = CliRunner().invoke(cli, ["checklist", *arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == code, done.output
    document = json.loads(done.output)
    assert document["passed"] is (code == 0)
    return {line["name"]: line for line in document["lines"]}


def rules_file(directory: Path, *names: str) -> Path:
    file = directory / "rules.yaml"
    rules = [{"alert": name, "expr": "vector(1)"} for name in names]
    file.write_text(
        json.dumps({"monitoring": {"prometheusRule": {"enabled": True, "groups": [{"name": "own", "rules": rules}]}}})
    )
    return file


def test_production_with_redis_alerts_and_a_run_passes(tmp_path: Path) -> None:
    alerts = rules_file(tmp_path, *ALERTS)
    redis = "redis.existingSecret=celery-redis"
    manifests = render.render(
        [*environment_files("prod,keda"), alerts], set_values={"redis.existingSecret": "celery-redis"}
    )
    topology = render.topology(manifests)
    setup = {"classes": facts.classes_of(manifests, topology), "queues": facts.queues_of(topology)}
    run = surge()
    result.write(replace(run, setup={**run.setup, **setup}), tmp_path / "reports" / "one")
    options = ("--env", "prod,keda", "-f", str(alerts), "--set", redis, "--reports", str(tmp_path / "reports"))
    lines = checklist(*options, code=0)
    assert {name: line["verdict"] for name, line in lines.items()} == dict.fromkeys(
        ("scaling", "overflow", "breakers", "alerts", "load-test", "runbook"), "pass"
    )
    assert lines["load-test"]["evidence"][0].startswith("one: mixed-surge on local")
    assert checklist(*options, "--set", "workers.io.replicas.max=6", code=1)["load-test"]["verdict"] == "fail"


def test_the_old_way_fails_where_it_has_nothing(tmp_path: Path) -> None:
    lines = checklist("--env", "baseline", "--reports", str(tmp_path), code=1)
    assert {name for name, line in lines.items() if line["verdict"] == "fail"} >= {"scaling", "overflow", "load-test"}
    assert lines["runbook"]["verdict"] == "pass"


def test_an_application_and_a_runbook_from_elsewhere_are_looked_at(tmp_path: Path) -> None:
    values, book, shop = tmp_path / "mine.yaml", tmp_path / "runbook.md", tmp_path / "shop"
    values.write_text("app: shop\n")
    book.write_text("harness ops scale io 5\nharness ops nonsense\n")
    shop.mkdir()
    (shop / "shop.py").write_text("from celery_workers.breaker import CircuitBreaker\nCircuitBreaker('orders')\n")
    own = ("-f", str(values), "--runbook", str(book), "--path", str(shop), "--reports", str(tmp_path))
    lines = checklist("--env", "prod", *own, code=1)
    assert "shop.py" in lines["breakers"]["evidence"][0]
    assert any("`harness ops nonsense` does not exist" in one for one in lines["runbook"]["evidence"])


def test_refused_values_are_bad_input(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["checklist", "--env", "no-such"])
    assert "unknown environment 'no-such'" in str(done.exception)
