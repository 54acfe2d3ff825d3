"""Every panel of the dashboards on a real Prometheus; what is empty is told, and so is what has no unit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli.dashboards import command
from harness.errors import InputError
from harness.monitoring import board_check, prometheus
from harness.monitoring.boards import cost, performance
from harness.monitoring.configuration import Target
from harness.monitoring.prometheus import Prometheus
from tests.local.monitoring import history
from tests.local.monitoring.exposition import exposed
from tests.local.monitoring.test_prometheus import INTERVAL_SECONDS, eventually

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has seen a release for half an hour."""
    directory = tmp_path_factory.mktemp("past")
    history.write(directory / "data")
    with prometheus.run(directory, []) as server:
        yield server


def check(server: Prometheus, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["check", "--prometheus", server.url, *arguments])


def test_no_panel_is_empty_and_none_lacks_its_unit(past: Prometheus) -> None:
    done = check(past, "--at", str(history.END), "--json")
    told = json.loads(done.output)
    assert (told["namespace"], told["release"]) == ("local", "celery")
    assert [panel for panel in told["panels"] if panel["problem"]] == []
    assert done.exit_code == 0
    assert {panel["board"] for panel in told["panels"]} == {
        f"Celery workers: {name}" for name in ("health", "performance", "cost", "spike replay")
    }
    # The series of a class or a task each, not one that swallows all.
    series = {(panel["board"].rpartition(" ")[2], panel["title"]): panel["series"] for panel in told["panels"]}
    assert series["health", "Network I/O, by class"] == [2, 2]
    assert series["performance", "Pods wanted and needed, by class"] == [2, 2, 2]
    assert series["cost", "A thousand tasks, by task"] == [3]


def test_accuracy_and_cost_are_what_they_say(past: Prometheus) -> None:
    """3 pods wanted; 1,000 tasks wait and 3 run at 4 a pod, so the 5 that may be are needed: 60 %."""
    chosen = board_check.variables(namespace="local", release="celery", window_seconds=1800, rate_seconds=60)

    def values(expression: str) -> dict[str, float]:
        found = past.client.query(board_check.filled(expression, chosen), at=history.END)
        return {one.labels.get("task", one.labels.get("class", "")): one.value for one in found}

    assert values(performance.NEEDED) == {"io": 5, "cpu": 5}
    assert values(performance.ACCURACY) == {"io": pytest.approx(0.6), "cpu": pytest.approx(0.6)}
    half_an_hour = values(cost.spent("1800s", "class"))
    assert half_an_hour == {"io": pytest.approx(0.1, rel=0.05), "cpu": pytest.approx(0.1, rel=0.05)}
    assert values(cost.SHARE_OF_CLASS) == {"send_email": 0.5, "fetch_page": 0.5, "make_pdf": 1.0}


def test_what_is_not_there_is_told_by_panel(tmp_path: Path) -> None:
    history.write(tmp_path / "data", without="container_network")
    with prometheus.run(tmp_path, []) as server:
        done = check(server, "--at", str(history.END))
        assert done.exit_code == 1
        assert [line for line in done.output.splitlines() if "no series" in line] == [
            line for line in done.output.splitlines() if "Network I/O" in line
        ]
        assert done.output.splitlines()[-1].endswith("1 with a problem")


def test_a_dashboard_of_ones_own_on_what_was_just_scraped(tmp_path: Path) -> None:
    board = tmp_path / "own.json"
    unit = {"defaults": {"unit": "short"}}
    panels = [
        {"title": title, "fieldConfig": unit, "targets": [{"expr": f'{metric}{{namespace="$namespace"}}'}]}
        for title, metric in (("Depth", "depth"), ("Nothing", "nothing"))
    ]
    board.write_text(json.dumps({"title": "Own", "panels": panels}))
    with exposed("celery_workers_exporter_up 1\ndepth 3\n") as one:
        target = Target("one", one.url, {"namespace": "here", "release": "a"})
        with prometheus.run(tmp_path / "own", [target], interval_seconds=INTERVAL_SECONDS) as server:
            assert eventually(lambda: bool(server.client.query("depth")))
            done = check(server, str(board), "--since", "1m")
            assert done.exit_code == 1
            assert "2 panels, 1 series, 1 with a problem" in done.output
            with pytest.raises(InputError, match=r"no release fits.*: a in here"):
                command.main(["check", str(board), "--prometheus", server.url, "--release", "b"], standalone_mode=False)
