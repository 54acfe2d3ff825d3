"""`harness monitor`: a Prometheus beside a local run, which other commands find, and which ends with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from harness.chart.render import environment_files
from harness.errors import InputError
from harness.monitoring import beside, prometheus
from harness.monitoring.prometheus import Client
from harness.ops import runs
from tests.local.monitoring.exposition import Exposition, exposed
from tests.local.monitoring.test_prometheus import ended, eventually

pytestmark = pytest.mark.timeout(200)
NAME = f"monitored-{os.getpid()}"


@pytest.fixture
def exposition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exposition]:
    """What a local run of this process offers to be scraped."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    with exposed("depth 9\n") as one:
        target = {"job": "one", "url": one.url, "labels": {"release": "a"}}
        with announced(tmp_path, targets=[target]):
            yield one


def announced(directory: Path, **more: Any) -> Any:
    return runs.announced(
        NAME, release="a", directory=directory, amqp_url="", management_url="", redis_url=None, topology={}, **more
    )


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """One alert."""
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "a", "rules": [{"alert": "Deep", "expr": "depth > 8"}]}]}))
    return path


def monitor(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "harness", "monitor", "--run", NAME, "--interval", "0.2", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def temporary(directory: Path) -> list[str]:
    """What is in the temporary directory of the command, without the random part of the names."""
    return [path.name.rpartition("-")[0] for path in (directory / "temporary").iterdir()]


def test_it_scrapes_the_run_evaluates_the_rules_and_is_found_until_it_ends(
    exposition: Exposition, rules: Path, tmp_path: Path
) -> None:
    with monitor("--rules", rules, "--json") as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        server = psutil.Process(told["pid"])
        assert beside.find(NAME) == told["url"]
        with Client(told["url"]) as client:
            assert eventually(lambda: [one["labels"]["alertname"] for one in client.alerts()] == ["Deep"])
            (sample,) = client.query("depth")
            assert (sample.labels["release"], sample.labels["job"]) == ("a", "one")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert eventually(lambda: ended(server))
    assert beside.find(NAME) is None
    assert temporary(tmp_path) == []


def test_nothing_that_matters_is_left_when_it_is_killed_and_nothing_at_all_by_the_next(
    exposition: Exposition, rules: Path, tmp_path: Path
) -> None:
    with monitor("--rules", rules, "--json") as process:
        assert process.stdout is not None
        server = psutil.Process(json.loads(process.stdout.readline())["pid"])
        process.kill()
    assert eventually(lambda: ended(server))
    assert beside.find(NAME) is None  # the file is there, its process is not
    assert temporary(tmp_path) == ["celery-workers-monitor"]
    (left,) = (tmp_path / "temporary").iterdir()
    with monitor("--rules", rules, "--json") as process:
        assert eventually(lambda: not left.exists() and temporary(tmp_path) != [], seconds=30)
        process.send_signal(signal.SIGTERM)  # it is not ready
        assert process.wait(30) in (0, 130)
    assert temporary(tmp_path) == []


def test_it_says_where_its_page_is_and_what_to_do_next(exposition: Exposition, rules: Path, tmp_path: Path) -> None:
    with monitor("--rules", rules, "--directory", tmp_path / "kept") as process:
        assert process.stdout is not None
        text = ""
        while "harness dashboards check" not in text:
            line = process.stdout.readline()
            assert line
            text += line
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert "1 alerts, 0 recorded series" in text
    assert "/graph" in text
    assert "no exporter" in text
    assert (tmp_path / "kept" / "prometheus.log").exists()


def test_the_rules_are_those_of_the_runs_own_values(tmp_path: Path) -> None:
    overlay = tmp_path / "own.yaml"
    overlay.write_text("monitoring: {alerts: {queueFilling: {abovePercent: 33}}}")
    with announced(tmp_path, values=[*environment_files("prod,keda,monitoring"), overlay]) as run:
        text = beside.write_rules(run, tmp_path / "made" / "rules.yaml").read_text()
    groups = yaml.safe_load(text)["groups"]
    (filling,) = (
        rule
        for group in groups
        for rule in group["rules"]
        if rule.get("alert") == "QueueFilling" and rule["labels"]["queue"] == "io"
    )
    assert "> 0.33" in filling["expr"]
    assert filling["labels"]["namespace"] == "local"
    # A run may be over before a group with an interval of its own is evaluated once.
    assert {name for group in groups for name in group} == {"name", "rules"}
    prometheus.check_rules([tmp_path / "made" / "rules.yaml"])


def test_a_run_that_offers_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.cli.monitor import command

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with announced(tmp_path), pytest.raises(InputError, match="offers nothing to scrape"):
        command.main(["--run", NAME], standalone_mode=False)
