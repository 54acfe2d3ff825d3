"""The alerts of a run, read from a real Prometheus that watched it."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import HarnessError, InputError
from harness.monitoring import prometheus
from harness.monitoring.configuration import Target
from harness.spike import alerts
from harness.spike.prepared import Request
from tests.local.monitoring.exposition import exposed
from tests.local.monitoring.test_prometheus import eventually

pytestmark = pytest.mark.timeout(90)
RULES = """
groups:
  - name: a
    rules:
      - {alert: Deep, expr: "depth > 8", labels: {severity: critical, class: io, queue: io, release: celery}}
      - {alert: Deep, expr: "depth > 8", labels: {severity: critical, class: io, queue: io, release: other}}
"""


def prepared(directory: Path, **more: Any) -> Any:
    return SimpleNamespace(request=Request(scenario="a", environment="prod", reports=directory, **more))


def test_alerts_of_the_release_with_their_times_since_the_load_began(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES)
    ground: Any = SimpleNamespace(targets=())
    with exposed("depth 9\n") as one:
        targets = [Target("one", one.url)]
        with (
            prometheus.run(tmp_path / "own", targets, rule_files=[rules], interval_seconds=0.2) as server,
            alerts.watching(prepared(tmp_path, prometheus=server.url), ground, tmp_path) as watching,
        ):
            assert watching is not None
            began = time.time()
            assert eventually(lambda: [each["end"] for each in watching.fired(began)] == [None])  # it still fires
            one.text = "depth 1\n"
            assert eventually(lambda: server.client.alerts() == [])
            assert eventually(lambda: watching.fired(began)[0]["end"] is not None)
            (fired,) = watching.fired(began)
    assert (fired["name"], fired["severity"], fired["about"]) == ("Deep", "critical", "io")
    assert fired["start"] < fired["end"] < time.time() - began + 2


def test_who_asks_for_nothing_gets_nothing_and_what_cannot_be_is_told(tmp_path: Path) -> None:
    ground: Any = SimpleNamespace(targets=())
    with alerts.watching(prepared(tmp_path), ground, tmp_path) as watching:
        assert watching is None
    with (
        pytest.raises(InputError, match="cannot scrape a run there"),
        alerts.watching(prepared(tmp_path, monitor=True), ground, tmp_path),
    ):
        pass
    away = prepared(tmp_path, prometheus="http://127.0.0.1:9")
    with pytest.raises(HarnessError, match="does not answer"), alerts.watching(away, ground, tmp_path):
        pass


def test_the_command_that_repeats_a_run_has_what_watched_it(tmp_path: Path) -> None:
    def command(**more: Any) -> str:
        return str(prepared(tmp_path, **more).request.command)

    assert command(monitor=True) == "make spike SCENARIO=a ENV=prod RUNTIME=local MONITOR=1"
    assert command(prometheus="http://u:p@h:9").endswith("--runtime local --prometheus http://u@h:9")
    assert command(values=(Path("x.yaml"),), monitor=True).endswith("--runtime local -f x.yaml --monitor")
