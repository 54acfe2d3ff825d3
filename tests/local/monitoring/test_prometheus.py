"""A Prometheus of one's own: it scrapes, evaluates rules, answers, ends, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from harness import direct
from harness.errors import HarnessError, InputError
from harness.monitoring import prometheus
from harness.monitoring.configuration import Target
from tests.local.monitoring.exposition import exposed
from tests.local.worker_release import eventually

pytestmark = pytest.mark.timeout(90)
INTERVAL_SECONDS = 0.2


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_scrapes_with_labels_and_parameters_and_answers_both_kinds_of_query(tmp_path: Path) -> None:
    with exposed('depth{queue="a"} 3\ndepth{queue="b"} 5\n') as one:
        target = Target("rabbitmq", f"{one.url}/detailed?family=x&family=y", {"namespace": "local"})
        with prometheus.run(tmp_path, [target], interval_seconds=INTERVAL_SECONDS) as server:
            assert eventually(lambda: len(server.client.query("depth")) == 2)
            found = {sample.labels["queue"]: sample for sample in server.client.query('depth{namespace="local"}')}
            assert (found["a"].value, found["b"].value) == (3.0, 5.0)
            assert server.client.query("scalar(sum(depth))")[0].value == 8.0
            now = time.time()
            curves = server.client.query_range("sum(depth)", start=now - 5, end=now, step_seconds=0.5)
            assert {value for curve in curves for _, value in curve.points} == {8.0}
            assert [target["health"] for target in server.client.targets()] == ["up"]
            assert "family=x&family=y" in one.asked[0]
            with pytest.raises(InputError, match="parse error"):
                server.client.query("sum(")
            with direct.client(server.url, timeout_seconds=10) as browser:
                assert browser.get("/graph", follow_redirects=True).status_code == 200


def test_evaluates_rules_and_shows_the_alerts_that_fire(tmp_path: Path) -> None:
    alert = {"alert": "Deep", "expr": "twice:depth > 8", "labels": {"severity": "warning"}}
    rules = tmp_path / "rules.yml"
    rules.write_text(
        yaml.safe_dump({"groups": [{"name": "a", "rules": [{"record": "twice:depth", "expr": "2 * depth"}, alert]}]})
    )
    with exposed("depth 5\n") as one:
        targets = [Target("one", one.url)]
        with prometheus.run(tmp_path / "own", targets, rule_files=[rules], interval_seconds=INTERVAL_SECONDS) as server:
            assert eventually(lambda: [a["labels"]["alertname"] for a in server.client.alerts()] == ["Deep"])
            assert {rule["name"] for group in server.client.rule_groups() for rule in group["rules"]} == {
                "twice:depth",
                "Deep",
            }
            assert server.client.query('ALERTS{alertstate="firing"}')
            one.text = "depth 1\n"
            assert eventually(lambda: server.client.alerts() == [])


def test_wrong_rules_are_refused_with_the_reason(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text("groups: [{name: a, rules: [{alert: X, expr: 'sum('}]}]")
    with (
        pytest.raises(InputError, match=r"rules that Prometheus refuses:\n.*"),
        prometheus.run(tmp_path / "own", [], rule_files=[rules]),
    ):
        pass


def test_listens_on_loopback_and_ends_with_its_killed_owner(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\nfrom harness.monitoring import prometheus\n"
        "with prometheus.run(pathlib.Path(sys.argv[1]), []) as s:\n    print(s.pid, flush=True)\n    time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    server = psutil.Process(int(owner.stdout.readline()))
    assert {link.laddr.ip for link in server.net_connections("tcp") if link.status == "LISTEN"} == {"127.0.0.1"}
    owner.send_signal(signal.SIGKILL)
    owner.wait(10)
    owner.stdout.close()
    assert eventually(lambda: ended(server))


def test_ends_with_the_block_and_then_does_not_answer(tmp_path: Path) -> None:
    with prometheus.run(tmp_path, []) as server:
        process = psutil.Process(server.pid)
    assert eventually(lambda: ended(process))
    with prometheus.Client(server.url) as client:
        assert not client.ready()
        with pytest.raises(HarnessError, match=r"Prometheus at http://127\.0\.0\.1:\d+ does not answer"):
            client.query("up")


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with (
        exposed() as one,
        pytest.raises(InputError, match="the port is taken"),
        prometheus.run(tmp_path, [], port=int(one.url.split(":")[2].split("/")[0])),
    ):
        pass


def test_what_setup_installs_is_found_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "prometheus"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert prometheus.prepare() == str(program)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(HarnessError, match="apt-get install prometheus"):
        prometheus.prepare()
