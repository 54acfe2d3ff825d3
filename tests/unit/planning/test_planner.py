"""A plan as a whole, on a simulation whose answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from harness.errors import InputError
from harness.planning import place, planner, words
from harness.planning.figures import assumed
from harness.planning.place import Place
from harness.planning.planner import Asked, Plan, Rendered
from harness.simulation.model import Load, Plant, Trace
from harness.spike.scenario import load_scenario
from tests.unit.planning.cases import manifests, topology, trace

VALUES = Rendered(environment="prod + keda", values=("values/prod.yaml",), manifests=manifests(), topology=topology())


def by_first_look(plant: Plant, load: Load, *, rng: np.random.Generator, limit_seconds: float) -> Trace:
    """Everything is done 20 s after the autoscaler's first look."""
    return trace(plant, load, np.full(len(load.due_seconds), plant.clockwork.first_sync_seconds + 20.0))


def made(where: Place, *, scenario: str = "ai-questions", **asked: object) -> Plan:
    offer = planner.of_scenario(load_scenario(scenario), topology(), run_id=planner.new_id())
    return planner.make(
        offer,
        VALUES,
        by_first_look,
        place=where,
        figures=assumed(where.name),
        asked=Asked(**asked),  # type: ignore[arg-type]
    )


def test_other_chances_are_other_first_looks_where_nobody_waits_for_one() -> None:
    spread = made(place.cluster(), explain=False, seeds=3).spread
    assert [draw.drain_seconds for draw in spread] == [22.5, 27.5, 32.5]
    assert {draw.drain_seconds for draw in made(place.local(2), explain=False, seeds=3).spread} == {34.5}
    assert made(place.local(2), explain=False).spread == ()


def test_a_plan_is_told_with_its_reasons() -> None:
    text = words.text(made(place.local(2), seeds=2), page="reports/x/report.html")
    assert text.startswith("WOULD PASS  ai-questions on local, prod + keda: foretold, not run")
    assert "  binds    the autoscaler looks every 15 s" in text
    assert "2 of 2 seeds meet all; drained in 34.5 s to 34.5 s" in text
    assert "reports/x/report.html" in text


def test_it_leaves_a_document_and_a_page(tmp_path: Path) -> None:
    plan = made(place.local(2))
    directory = planner.write([plan], tmp_path / "reports", words.tables([plan]))
    kept = json.loads((directory / "plan.json").read_text())
    assert (kept["runtime"], kept["passed"], kept["binding"]["constraints"][0]["key"]) == ("local", True, "sync")
    assert "the autoscaler looks every 15 s" in (directory / "report.html").read_text()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    plan = made(place.local(2), explain=False)
    with pytest.raises(InputError, match="--reports"):
        planner.write([plan], tmp_path / "file", words.tables([plan]))
