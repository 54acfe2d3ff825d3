"""A run's forecast is written down before anything is started."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import HarnessError
from harness.planning import place
from harness.planning.figures import assumed
from harness.planning.forecasting import forecast
from harness.simulation.model import Load, Plant, Trace
from harness.spike import run
from harness.spike.arrivals import plan
from harness.spike.forecast import FILE_NAME, Forecast
from harness.spike.local_site import LocalSite
from harness.spike.prepared import Prepared, Request
from harness.spike.progress import SilentProgress
from harness.spike.scenario import load_scenario
from tests.unit.planning.cases import manifests, step, topology, trace


def simulate(plant: Plant, load: Load, *, rng: np.random.Generator, limit_seconds: float) -> Trace:
    return trace(plant, load, np.full(len(load.due_seconds), 36.0), steps=(step(plant, "io", 14.5, 1, 3),))


def prepared(reports: Path, name: str = "ai-questions") -> Prepared:
    scenario = load_scenario(name)
    return Prepared(
        request=Request(scenario=name, environment="prod,keda", reports=reports),
        run_id="id",
        scenario=scenario,
        values=[],
        manifests=manifests(),
        topology=topology(),
        plan=plan(scenario, topology(), run_id="id"),
    )


def foretold(asked: Prepared) -> Forecast:
    return forecast(asked, simulate, place=place.local(2), figures=assumed("local"), now=1.0)


def test_a_forecast_has_what_is_compared_and_where_its_figures_are_from(tmp_path: Path) -> None:
    found = foretold(prepared(tmp_path))
    assert found.drain_seconds == 36.0
    assert found.steps == {"celery-io-worker": [1, 3]}
    assert found.peak_depth_messages == {"io": 0}
    assert found.calibration["source"] == "assumed"
    document = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert document["written_at"] == 1.0
    assert (document["offered"], document["completed"], document["failed"]) == (500, 500, 0)
    assert document["by_queue"]["io"]["p95"] == 36.0
    assert document["first_added_ready_seconds"] is None
    assert {one["name"]: one["measured"] for one in document["objectives"]}["drain_seconds"] == 36.0


def test_a_forecast_tells_the_groups_of_tasks_apart_phase_by_phase(tmp_path: Path) -> None:
    found = foretold(prepared(tmp_path, "interference"))
    assert found.by_group["io"].keys() == {"alone", "beside-cpu"}
    assert found.by_group["cpu"].keys() == {"beside-cpu"}


class Broken(LocalSite):
    """A place that keeps what is in a run's folder when it is asked to start something, and fails."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    @contextmanager
    def ground(self, prepared: Prepared, directory: Path, progress: Any) -> Iterator[Any]:
        self.found = {path.name: path.read_text() for path in directory.iterdir()}
        raise HarnessError("nothing starts here")
        yield


def folder_at_start(reports: Path, foretell: Callable[[Prepared], Forecast | None] | None) -> dict[str, str]:
    site = Broken()
    with pytest.raises(HarnessError, match="nothing starts here"):
        run.perform(prepared(reports), site=site, progress=SilentProgress(), foretell=foretell)
    return site.found


def test_it_stands_in_the_folder_before_anything_is_started(tmp_path: Path) -> None:
    assert json.loads(folder_at_start(tmp_path, foretold)[FILE_NAME])["drain_seconds"] == 36.0


def test_a_run_goes_on_without_one_that_cannot_be_made(tmp_path: Path) -> None:
    def fails(asked: Prepared) -> Forecast:
        raise HarnessError("this cannot be foretold")

    for foretell in (None, fails, lambda asked: None):
        assert FILE_NAME not in folder_at_start(tmp_path, foretell)
        (tmp_path / "failed-id").rename(tmp_path / f"kept-{len(list(tmp_path.iterdir()))}")


def test_the_list_foretold_is_the_runs_own(tmp_path: Path) -> None:
    asked = prepared(tmp_path)
    seen: list[int] = []

    def counting(plant: Plant, load: Load, *, rng: np.random.Generator, limit_seconds: float) -> Trace:
        seen.append(len(load.due_seconds))
        return simulate(plant, load, rng=rng, limit_seconds=limit_seconds)

    other = replace(asked, run_id="other")
    for one in (asked, other):
        forecast(one, counting, place=place.local(2), figures=assumed("local"), now=1.0)
    assert seen == [500, 500]
