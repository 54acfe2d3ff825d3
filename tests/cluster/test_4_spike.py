"""A spike run in the cluster, as a user starts it: Locust in the cluster, ledger, report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.place import Place
from tests.cluster.results import Note

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS = 420
# values/prod.yaml lets io grow by three pods in a minute; the controller looks every 15 s.
PERIOD_SECONDS, SYNC_SECONDS = 60, 15

# Both look at what the harness' runs leave.
pytestmark = pytest.mark.xdist_group("spike")


@pytest.mark.timeout(120)
def test_a_run_that_does_not_fit_is_refused_before_anything_is_made(place: Place, tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    huge.write_text("workers: {io: {resources: {requests: {cpu: 3000}, limits: {cpu: 4000}}}}\n")  # cores
    before = _namespaces(place)
    done = _run("email-campaign", runtime=_runtime(place), reports=tmp_path / "reports", values=[huge])
    assert done.returncode == 2, done.stderr
    assert "at maximum replicas" in done.stderr
    assert "Traceback" not in done.stderr
    assert _namespaces(place) == before
    assert list((tmp_path / "reports").glob("*")) == []


@pytest.mark.alone
@pytest.mark.timeout(RUN_SECONDS + 60)
def test_no_task_of_the_email_campaign_is_lost(place: Place, tmp_path: Path, record_property: Note) -> None:
    runtime = _runtime(place)
    before = _namespaces(place)
    result = _spike("email-campaign", runtime=runtime, reports=tmp_path)
    record_property("ran twice", result["duplicated"])
    record_property("values", ", ".join(result["setup"]["values_files"]))
    assert result["runtime"] == runtime
    assert result["offered"] == result["accepted"] == result["completed"] == 10_000
    assert (result["lost"], result["in_flight"], result["dead_lettered"], result["duplicated"]) == (0, 0, 0, 0)
    assert result["refusals"] > 0, "a burst of 10,000 did not fill a queue of 5,000"
    assert [rule for rule in result["rules"] if not rule["pass"]] == []
    # The load begins at any moment between two of the controller's looks: the first may see a part of it only.
    assert _most_in_the_first_period(result) == 4, result["scale_events"]
    assert "values/kind.yaml" in result["setup"]["values_files"]
    assert (tmp_path / "latest" / "report.html").stat().st_size > 100_000
    assert _namespaces(place) == before


def _runtime(place: Place) -> str:
    place.require_shared_volumes()
    return "kind" if place.is_own_kind else "cluster"


def _spike(scenario: str, *, runtime: str, reports: Path) -> dict[str, Any]:
    # Small requests on somebody else's cluster too: nobody knows what it has room for.
    values = [] if runtime == "kind" else [ROOT / "values" / "kind.yaml"]
    done = _run(scenario, runtime=runtime, reports=reports, values=values)
    # An objective in seconds may be missed on a machine that is busy; the counts are asserted.
    assert done.returncode in (0, 1), f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return dict(json.loads(done.stdout))


def _run(
    scenario: str, *, runtime: str, reports: Path, values: Sequence[Path] = ()
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", "spike", scenario, "--env", "prod,keda"]
    command += ["--runtime", runtime, "--reports", str(reports), "--json"]
    command += [part for path in values for part in ("--values", str(path))]
    return subprocess.run(
        command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )


def _most_in_the_first_period(result: dict[str, Any]) -> int:
    """Return the most io pods wanted before the policy's period, counted from the first change, is over."""
    changes = [one for one in result["scale_events"] if one["deployment"] == "celery-io-worker"]
    assert changes, "the io class was not scaled"
    assert changes[0]["before"] == 1
    period = [one["after"] for one in changes if one["t"] - changes[0]["t"] < PERIOD_SECONDS - SYNC_SECONDS / 2]
    return int(max(period))


def _namespaces(place: Place) -> set[str]:
    listed = place.kubectl.get("namespaces")["items"]
    return {one["metadata"]["name"] for one in listed if one["metadata"]["name"].startswith("spike-")}
