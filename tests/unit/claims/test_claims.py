"""A claim has a verdict when its runs are there, and the commands that make them when not."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.claims import catalogue, gather, page
from harness.claims.catalogue import RESULTS, Claim, Runs, Trial
from harness.claims.figures import NEVER, Figure
from harness.claims.verdicts import DOES_NOT_HOLD, HOLDS, HOLDS_IF, NOT_RUN, File, Judged, judge
from harness.cli import cli
from harness.cli.compare import SCENARIOS
from harness.errors import InputError
from harness.spike import result
from harness.spike.result import Result
from harness.spike.scenario import available
from harness.spike.spread import Spread
from tests.unit.spike_report.scenes import campaign, slow

DOCUMENT: dict[str, Any] = {
    "drain_seconds": 42.0,
    "first_added_ready_seconds": None,
    "completed": 9,
    "offered": 10,
    "timeline": {
        "seconds": [-1, 0, 1, 2],
        "queues": {"a": {"unacked": [9, 0, 5, None]}, "b": {"unacked": [0, 1, 6, 2]}},
        "replicas": {"io": {"ready": [1, 1, 2, 3]}},
    },
    "objectives": [{"name": "lost", "measured": 0}, {"name": "p95", "measured": None}],
    "tests": [
        {"name": "t.py::a[1]", "outcome": "passed"},
        {"name": "t.py::a[2]", "outcome": "failed"},
        {"name": "t.py::ab", "outcome": "failed"},
        {"name": "t.py::c", "outcome": "passed"},
    ],
    "calls": [{"verdict": "ok", "n": 1}, {"verdict": "ok"}, {"verdict": "blocks"}],
}


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        (Figure("value", "drain_seconds"), 42.0),
        (Figure("value", "no.such"), None),
        (Figure("value", "timeline.replicas.*.ready.3"), 3.0),
        (Figure("value", "calls.*.n"), 1.0),
        (Figure("share", "completed", "offered"), 0.9),
        (Figure("share", "completed", "none"), None),
        (Figure("highest", "timeline.queues.a.unacked"), 9),
        (Figure("highest", "timeline.queues.*.unacked"), 11),
        (Figure("highest", "timeline.queues.c.unacked"), None),
        (Figure("reached", "timeline.replicas.io.ready", 3), 2.0),
        (Figure("reached", "timeline.replicas.io.ready", 1), 0.0),
        (Figure("reached", "timeline.replicas.io.ready", 4), NEVER),
        (Figure("reached", "timeline.replicas.cpu.ready", 1), None),
        (Figure("count", "calls", {"verdict": "ok"}), 2.0),
        (Figure("count", "nothing", {"verdict": "ok"}), None),
        (Figure("moment", "drain_seconds"), 42.0),
        (Figure("moment", "first_added_ready_seconds"), NEVER),
        (Figure("moment", "no.such"), None),
        (Figure("passed", "tests", ["t.py::a"]), 0.0),
        (Figure("passed", "tests", ["t.py::c"]), 1.0),
        (Figure("passed", "tests", ["t.py::a", "t.py::c"]), 0.0),
        (Figure("passed", "tests", ["t.py::b"]), None),
        (Figure("passed", "tests", ["t.py::c", "t.py::b"]), None),
        (Figure("objective", "objectives", "lost"), 0.0),
        (Figure("objective", "objectives", "p95"), None),
    ],
)
def test_figures_are_read(figure: Figure, value: float | None) -> None:
    assert figure.read(DOCUMENT) == value


def runs(scenario: str) -> Runs:
    return Runs(f"make spike SCENARIO={scenario}", RESULTS, {"scenario": scenario})


def claim(*tests: Trial, least: float | None = None, most: float | None = None) -> Claim:
    return Claim(
        id="c", document="guide", section="S", words="Words", unit="s", least=least, most=most, remedy="Set it",
        tests=tests or (one_test("a"),),
    )  # fmt: skip


def one_test(scenario: str, *, given: str | None = None, than: str | None = None) -> Trial:
    return Trial(given, runs(scenario), Figure("value", "drain_seconds"), runs(than) if than else None)


def file(scenario: str, drain: float | None, name: str = "1", **more: Any) -> File:
    return File(f"{name}/result.json", {"scenario": scenario, "drain_seconds": drain, **more})


def test_the_median_decides_and_the_range_is_told() -> None:
    found = judge(claim(most=50), [file("a", 30), file("a", 45), file("a", 80), file("b", 1)])
    (measured,) = found.measured
    assert (found.verdict, measured.spread) == (HOLDS, Spread(median=45, lowest=30, highest=80, runs=3))
    assert judge(claim(most=44), [file("a", 30), file("a", 45), file("a", 80)]).verdict == DOES_NOT_HOLD


@pytest.mark.parametrize(
    ("drain", "verdict"), [(50.0, HOLDS), (50.01, DOES_NOT_HOLD), (10.0, HOLDS), (9.99, DOES_NOT_HOLD)]
)
def test_bounds_are_part_of_what_holds(drain: float, verdict: str) -> None:
    assert judge(claim(least=10, most=50), [file("a", drain)]).verdict == verdict


def test_without_a_run_there_is_no_verdict_but_the_command() -> None:
    for files in ([], [file("b", 1)], [file("a", None)]):
        found = judge(claim(most=50), files)
        assert (found.verdict, found.measured, found.pending) == (NOT_RUN, (), ("make spike SCENARIO=a",))


def test_it_holds_if_a_condition_is_met() -> None:
    both = claim(one_test("a"), one_test("b", given="queues decide"), most=50)
    found = judge(both, [file("a", 60), file("b", 40)])
    assert (found.verdict, [one.holds for one in found.measured]) == (HOLDS_IF, [False, True])
    assert judge(both, [file("a", 40), file("b", 60)]).verdict == HOLDS
    assert judge(both, [file("a", 60), file("b", 60)]).verdict == DOES_NOT_HOLD
    assert judge(both, [file("a", 40)]).verdict == NOT_RUN
    assert judge(both, [file("a", 40)]).pending == ("make spike SCENARIO=b",)


def test_one_set_of_runs_is_divided_by_another() -> None:
    found = judge(
        claim(one_test("a", than="b"), least=3), [file("a", 400), file("a", 440), file("b", 40), file("b", 44)]
    )
    (measured,) = found.measured
    assert (found.verdict, measured.spread.median, measured.spread.runs) == (HOLDS, 10.0, 2)
    assert (measured.spread.lowest, measured.spread.highest) == (400 / 44, 440 / 40)
    assert judge(claim(one_test("a", than="b"), least=3), [file("a", 400)]).pending == ("make spike SCENARIO=b",)


def test_what_never_came_about_holds_nothing() -> None:
    never = Trial(None, runs("a"), Figure("reached", "timeline.replicas.io.ready", 5), None)
    found = judge(claim(never, most=60), [File("1/result.json", {"scenario": "a", **DOCUMENT})])
    assert (found.verdict, found.measured[0].spread.median) == (DOES_NOT_HOLD, math.inf)
    assert "| never, 1 run |" in page.markdown([found])
    assert json.loads(json.dumps(page.document([found]), allow_nan=False))[0]["measured"][0]["median"] is None


def test_the_simulators_figure_is_that_of_the_forecast() -> None:
    found = judge(claim(most=50), [file("a", 40, forecast={"drain_seconds": 38.0}), file("a", 42, forecast=None)])
    assert found.measured[0].simulated == 38.0


@pytest.mark.parametrize("kind", ["foretold", "interrupted"])
def test_a_simulated_run_is_no_run_nor_one_that_was_cut(kind: str) -> None:
    assert judge(claim(most=50), [file("a", 40, **{kind: True})]).verdict == NOT_RUN
    assert judge(claim(most=50), [file("a", 40, **{kind: False})]).verdict == HOLDS


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("foretold-local/run", HOLDS),
        ("compare-1/after/run", NOT_RUN),
        ("other/run", NOT_RUN),
        ("a/foretold/run", NOT_RUN),
    ],
)
def test_a_run_counts_by_where_it_lies(name: str, verdict: str) -> None:
    assert judge(claim(most=50), [file("a", 40, name=name)]).verdict == verdict


def test_keys_that_must_be_there_tell_a_whole_run_from_a_part() -> None:
    one = replace(one_test("a"), runs=Runs("run", RESULTS, {"by_phase": ["x", "y"]}))
    assert judge(claim(one, most=50), [file("a", 40, by_phase={"x": {}, "y": {}, "z": {}})]).verdict == HOLDS
    assert judge(claim(one, most=50), [file("a", 40, by_phase={"x": {}})]).verdict == NOT_RUN


def test_a_backlog_that_never_went_is_a_run_and_holds_nothing() -> None:
    drain = replace(one_test("a"), figure=Figure("moment", "drain_seconds"))
    found = judge(claim(drain, most=50), [file("a", None, forecast={"drain_seconds": None})])
    assert (found.verdict, found.measured[0].spread.median, found.measured[0].simulated) == (
        DOES_NOT_HOLD,
        NEVER,
        NEVER,
    )
    divided = replace(drain, than=runs("b"))
    never, soon = [file("a", None)], [file("b", 40)]
    assert judge(claim(divided, least=3), [*never, *soon]).measured[0].spread.median == NEVER
    late = judge(claim(divided, least=3), [file("a", 40), file("b", None)])
    assert (late.verdict, late.measured[0].spread.median) == (DOES_NOT_HOLD, 0.0)
    assert judge(claim(divided, least=3), [*never, file("b", None)]).measured[0].spread.median == 1.0


def test_a_comparisons_runs_are_divided_by_its_own() -> None:
    before, after = (Runs("make compare", (f"compare-*/{side}/*/result.json",), {}) for side in ("before", "after"))
    test = Trial("same CPU", before, Figure("value", "drain_seconds"), after)
    files = [
        file("a", 400, "compare-1/before/x"), file("a", 40, "compare-1/after/x"),
        file("a", 90, "compare-2/before/x"), file("a", 30, "compare-2/after/x"),
        file("a", 999, "compare-3/before/x"),
    ]  # fmt: skip
    (found,) = judge(claim(one_test("a"), test, most=50), files).measured
    assert found.spread == Spread(median=6.5, lowest=3.0, highest=10.0, runs=2)
    halves = judge(claim(replace(test, given=None)), [files[4], files[1]])
    assert (halves.verdict, halves.measured, halves.pending) == (NOT_RUN, (), ("make compare",))


def test_values_files_must_be_the_same_in_order() -> None:
    one = replace(one_test("a"), runs=Runs("run", RESULTS, {"values": ["prod", "keda"]}))
    for names, verdict in ((["values/prod.yaml", "values/keda.yaml"], HOLDS), (["values/prod.yaml"], NOT_RUN)):
        assert judge(claim(one, most=50), [file("a", 1, setup={"values_files": names})]).verdict == verdict


def test_the_page_keeps_claims_without_a_run_apart() -> None:
    told = judge(claim(most=50), [file("a", 40), file("a", 45)])
    waiting: Judged = judge(replace(claim(most=50), words="Un|tested"), [])
    text = page.markdown([told, waiting])
    verdicts, pending = text.split("## Not yet run")
    assert "2 claims: 1 holds, 0 holds if, 0 does not hold, 1 not yet run." in verdicts
    assert "| Words (`c`) | S | 42.5 s (40 to 45), 2 runs | - | **holds** | - |" in verdicts
    assert "| Un\\|tested (`c`) | S | `make spike SCENARIO=a` |" in pending
    assert "Un" not in verdicts


def made_on(run: Result, *values: str) -> Result:
    return replace(run, setup={**run.setup, "values_files": [f"values/{name}.yaml" for name in values]})


def test_real_results_are_read_and_the_page_is_written(tmp_path: Path) -> None:
    for name, run in (("one", campaign()), ("two", slow())):
        result.write(made_on(run, "prod", "keda"), tmp_path / "reports" / name)
    (tmp_path / "reports" / "latest").symlink_to("one")
    (tmp_path / "reports" / "broken").mkdir()
    (tmp_path / "reports" / "broken" / "result.json").write_text("{")
    out = tmp_path / "claims.md"
    done = CliRunner().invoke(cli, ["claims", "--reports", str(tmp_path / "reports"), "--output", str(out)])
    assert done.exit_code == 0, done.output
    told = CliRunner().invoke(cli, ["claims", "--reports", str(tmp_path / "reports"), "--json"])
    assert {one["id"] for one in json.loads(told.stdout)} == {one.id for one in catalogue.load()}
    by_id = {one.claim.id: one for one in gather.gathered(catalogue.load(), tmp_path / "reports").judged}
    (limit,) = by_id["io-limit-5000"].measured
    assert limit.spread.runs == 1
    assert limit.spread.median == max(v for v in campaign().timeline.queues["io"]["ready"] if v is not None)
    assert by_id["scaling-60-seconds"].measured[0].spread.median == slow().first_added_ready_seconds
    assert by_id["cost-60-percent"].verdict == NOT_RUN
    assert "`refused-not-lost`" in out.read_text().split("## Not yet run")[0]


def test_every_claim_names_a_scenario_and_figures_that_exist() -> None:
    claims = catalogue.load()
    assert len(claims) >= 40
    for one in claims:
        for each in one.tests:
            for selected in filter(None, (each.runs, each.than)):
                scenario = selected.where.get("scenario")
                if scenario is None:
                    continue
                assert scenario in (*available(), "chaos"), one.id
                if selected.files[0].startswith("compare-"):
                    assert scenario in SCENARIOS, one.id
                    assert selected.command == "make compare", one.id
                    continue
                wanted = (
                    f"SCENARIO={scenario} ENV={','.join(selected.where['values'])}" if scenario != "chaos" else "chaos"
                )
                assert selected.command == f"make {'' if scenario == 'chaos' else 'spike '}{wanted}", one.id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"holds": {}}, "needs least or most"),
        ({"document": "memo"}, "expected report or guide"),
        ({"tests": [{"given": "x", "command": "c", "figure": {"kind": "value", "path": "p"}}]}, "exactly one test"),
        ({"tests": [{"command": "c", "figure": {"kind": "sum", "path": "p"}}]}, "is 'sum'; there are: value"),
        ({"tests": [{"command": "c", "figure": {"kind": "passed", "path": "p", "of": "t"}}]}, "expected a list"),
        ({"remedy": None}, "'remedy' is missing"),
        ({"more": 1}, "unknown key"),
    ],
)
def test_a_bad_list_is_refused_by_line_and_key(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    good = {
        "id": "a", "document": "guide", "section": "s", "words": "w", "holds": {"most": 1}, "remedy": "r",
        "tests": [{"command": "c", "figure": {"kind": "value", "path": "p"}}],
    }  # fmt: skip
    path = tmp_path / "claims.yaml"
    path.write_text(json.dumps({"claims": [good]}))
    assert len(catalogue.load(path)) == 1
    path.write_text(json.dumps({"claims": [{**good, **change}]}))
    with pytest.raises(InputError, match=message) as refused:
        catalogue.load(path)
    assert str(refused.value).startswith(f"{path}:1: ")


def test_a_comparisons_runs_are_told_from_runs_of_their_own(tmp_path: Path) -> None:
    groups = {"io": {"alone": {"p95": 2.5}, "beside-cpu": {"p95": 2.75}}}
    made = made_on(replace(campaign(), scenario="interference", by_group=groups), "prod", "keda", "budget-after")
    result.write(made, tmp_path / "compare-1" / "after" / "one")
    other = made_on(replace(made, drain_seconds=80.0), "baseline", "budget-before")
    result.write(other, tmp_path / "compare-1" / "before" / "one")
    saved = {
        "runtime": "local",
        "sides": {"before": {"environment": "baseline"}, "after": {"environment": "prod,keda"}},
        "scenarios": {"before-after": {"saved": {"month_cost": 0.7}}},
    }
    (tmp_path / "compare-1" / "result.json").write_text(json.dumps(saved))
    by_id = {one.claim.id: one for one in gather.gathered(catalogue.load(), tmp_path).judged}
    assert [round(found.spread.median, 3) for found in by_id["no-interference"].measured] == [1.1]
    assert [found.spread.median for found in by_id["cost-60-percent"].measured] == [0.7]
    assert by_id["three-times-faster"].measured == ()
    assert "make compare" in by_id["three-times-faster"].pending
