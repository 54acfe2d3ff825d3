"""What was read from runs is kept when they are gone, and answers as they did."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.claims import record
from harness.claims.catalogue import RESULTS, Claim, Runs, Trial
from harness.claims.figures import Figure
from harness.claims.gather import gathered
from harness.claims.record import KeptRun
from harness.claims.verdicts import DOES_NOT_HOLD, HOLDS, NOT_RUN, File, judge
from harness.cli import cli
from harness.errors import InputError

AT = 1_790_000_000.0
DRAIN = Figure("moment", "drain_seconds")


def runs(scenario: str) -> Runs:
    return Runs(f"make spike SCENARIO={scenario}", RESULTS, {"scenario": scenario})


def claim(scenario: str = "a") -> Claim:
    test = Trial(None, runs(scenario), DRAIN, None)
    return Claim(
        id="c", document="guide", section="S", words="W", unit="s", least=None, most=50, remedy="R", tests=(test,)
    )


def file(drain: float | None, name: str, *, scenario: str = "a", started_at: float = AT) -> File:
    document = {
        "scenario": scenario, "drain_seconds": drain, "started_at": started_at, "setup": {"commit": "0123456789ab"},
        "forecast": {"drain_seconds": 38.0},
    }  # fmt: skip
    return File(f"{name}/result.json", document)


def again(kept: tuple[KeptRun, ...]) -> tuple[KeptRun, ...]:
    return record.from_document(json.loads(json.dumps(record.as_document(kept), allow_nan=False)), source="kept.json")


def test_a_kept_run_answers_as_the_run_did() -> None:
    files = [file(40, "one"), file(45, "two"), file(None, "three"), file(4, "four", scenario="b")]
    kept = again(record.keep([claim()], files))
    assert [(one.name, one.made_at, one.commit) for one in kept] == [
        (f"{name}/result.json", AT, "0123456789ab") for name in ("one", "two", "three")
    ]
    assert judge(claim(), kept) == judge(claim(), files)
    assert judge(claim(), kept).measured[0].spread.highest == math.inf


def test_fresh_runs_take_the_place_of_those_that_answer_the_same() -> None:
    both = [claim(), claim("b")]
    old = record.keep(both, [file(40, "one"), file(20, "two", scenario="b")])
    fresh = record.keep(both, [file(60, "three", started_at=AT + 60)])
    found = record.renewed(old, fresh)
    assert [one.name for one in found] == ["two/result.json", "three/result.json"]
    assert judge(claim(), found).verdict == DOES_NOT_HOLD
    assert judge(claim("b"), found).verdict == HOLDS


def test_a_run_that_lacks_the_figure_takes_nobodys_place() -> None:
    counted = replace(claim(), tests=(replace(claim().tests[0], figure=Figure("value", "drain_seconds")),))
    old = record.keep([counted], [file(40, "one")])
    found = record.renewed(old, record.keep([counted], [file(None, "two")]))
    assert judge(counted, found).verdict == HOLDS


@pytest.mark.parametrize(
    "changed",
    [
        Trial(None, runs("a"), replace(DRAIN, kind="value"), None),
        Trial(None, replace(runs("a"), where={"scenario": "a", "values": ["prod"]}), DRAIN, None),
        Trial(None, replace(runs("a"), files=("other/*.json",)), DRAIN, None),
    ],
)
def test_what_is_asked_otherwise_is_not_answered_by_what_was_kept(changed: Trial) -> None:
    kept = record.keep([claim()], [file(40, "one")])
    assert judge(replace(claim(), tests=(changed,)), kept).verdict == NOT_RUN


def test_the_command_keeps_what_it_read_and_names_the_runs(tmp_path: Path) -> None:
    reports, page = tmp_path / "reports", tmp_path / "claims.md"
    (reports / "one").mkdir(parents=True)
    document = {**file(40, "one").document, "scenario": "spike-10x"}
    document["setup"] = {"commit": "0123456789ab", "values_files": ["values/prod.yaml", "values/keda.yaml"]}
    document["timeline"] = {"seconds": [0], "replicas": {"io": {"ready": [3]}}}
    (reports / "one" / "result.json").write_text(json.dumps(document))

    def written() -> str:
        done = CliRunner().invoke(cli, ["claims", "--reports", str(reports), "--output", str(page)])
        assert done.exit_code == 0, done.output
        return page.read_text()

    first = written()
    assert "| `one/result.json` | 2026-09-21 14:13 | `0123456789ab` |" in first
    (reports / "one" / "result.json").unlink()
    assert written() == first


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{", "cannot be read as JSON"),
        ("{}", "no record of runs of this version"),
        (json.dumps({"version": 1, "runs": [{"file": "x"}]}), "'made_at' is missing or malformed"),
        (json.dumps({"version": 1, "runs": None}), "missing or malformed"),
    ],
)
def test_a_record_that_is_none_is_named(text: str, wrong: str, tmp_path: Path) -> None:
    kept = tmp_path / "claims-runs.json"
    kept.write_text(text)
    with pytest.raises(InputError, match=wrong) as told:
        gathered([claim()], tmp_path, kept)
    assert str(told.value).startswith(str(kept))
