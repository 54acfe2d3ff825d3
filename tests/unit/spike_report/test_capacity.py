"""What a class held is read from a run's samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.cli.report import command
from harness.errors import InputError
from harness.spike import result, table
from harness.spike.capacity import AT_MAXIMUM, HEADER, NOT_ASKED, STARTING, UNSEEN, held, markdown
from harness.spike.result import Result
from harness.spike.timeline import Numbers
from tests.unit.spike_report import scenes

SECONDS = (-1, 0, 1, 2, 3, 4, 5)


def run(*, maximum: int | None = 2, refusals: int = 0, **series: Numbers) -> Result:
    """One class of four slots a pod and one queue, by the second."""
    base = scenes.campaign(400)
    found: dict[str, Numbers] = {
        "waiting": (9, 0, 5, 5, 3, 0, 0),
        "in_work": (9, 0, 4, 4, 8, 4, 0),
        "desired": (1, 1, 1, 2, 2, 2, 2),
        "running": (1, 1, 1, 2, 2, 2, 2),
        "ready": (1, 1, 1, 1, 2, 2, 2),
        "cores": (9, 0.1, 0.4, 0.4, 0.8, 0.4, 0.1),
        **series,
    }
    nothing: Numbers = (0,) * len(SECONDS)
    line = replace(
        base.timeline,
        seconds=SECONDS,
        arrivals=nothing, accepted=nothing, completions=nothing, refusals={}, memory_bytes={}, latency_seconds={},
        queues={"io": {"ready": found["waiting"], "unacked": found["in_work"]}},
        replicas={"celery-io-worker": {name: found[name] for name in ("desired", "running", "ready")}},
        cpu_cores={"io": found["cores"]},
    )  # fmt: skip
    worker = {**base.setup["classes"]["io"], "concurrency": 4, "maximum": maximum, "cpu_request_cores": 0.5}
    queue = {**base.by_queue["io"], "completed": 10, "refusals": refusals}
    return replace(base, timeline=line, setup={**base.setup, "classes": {"io": worker}}, by_queue={"io": queue})


def test_figures_are_those_of_the_seconds_with_work() -> None:
    found = held(run(), "io")
    assert found is not None
    assert (found.done, found.per_second, found.in_work_most) == (10, 10 / 4, 8)
    assert found.slots_share == pytest.approx(20 / (4 + 8 + 8 + 8))
    assert found.cpu_share == pytest.approx(2.0 / (0.5 * (1 + 2 + 2 + 2)))
    assert found.at_most_per_second == pytest.approx(10 / 20 * 2 * 4)  # ten tasks in twenty slot-seconds, eight slots


def test_each_second_of_waiting_has_a_cause() -> None:
    found = held(run(), "io")
    assert found is not None
    assert found.waiting_seconds == {NOT_ASKED: 1, STARTING: 1, AT_MAXIMUM: 1}
    fixed = held(run(maximum=None), "io")
    assert fixed is not None
    assert fixed.waiting_seconds == {AT_MAXIMUM: 2, STARTING: 1}
    assert fixed.at_most_per_second is None


def test_what_was_not_seen_is_left_out() -> None:
    nothing: Numbers = (None,) * len(SECONDS)
    some = held(run(running=(1, 1, 1, None, None, 2, 2), cores=nothing), "io")
    assert some is not None
    assert some.slots_share == pytest.approx(8 / (4 + 8))
    assert some.cpu_share is None
    alone = held(run(desired=(1, 1, None, 2, 2, 2, 2), ready=(1, 1, 1, None, 2, 2, 2)), "io")
    assert alone is not None
    assert alone.waiting_seconds == {UNSEEN: 2, AT_MAXIMUM: 1}
    blind = held(run(waiting=nothing, in_work=nothing), "io")
    assert blind is not None
    assert (blind.per_second, blind.in_work_most, blind.slots_share, blind.at_most_per_second) == (None,) * 4
    assert blind.waiting_seconds == {}


def lines(*runs: Result) -> list[dict[str, str]]:
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in markdown(runs).splitlines())
    assert tuple(header) == HEADER
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_a_line_says_what_kept_tasks_waiting() -> None:
    (line,) = lines(run(refusals=12))
    assert line["class"] == "io"
    assert line["tasks/s"] == "2.5"
    assert line["slots used"] == "71 %"
    assert line["its maximum does"] == "4.0/s"
    assert line["what kept tasks waiting"] == (
        f"{AT_MAXIMUM} 1 s; {STARTING} 1 s; {NOT_ASKED} 1 s; a full queue, which refused 12 times"
    )
    (calm,) = lines(run(waiting=(0,) * len(SECONDS)))
    assert calm["what kept tasks waiting"] == "nothing waited"


def test_several_runs_of_the_same_give_the_median_and_the_range() -> None:
    first = run()
    (line,) = lines(first, replace(first, by_queue={"io": {**first.by_queue["io"], "completed": 14}}))
    assert (line["runs"], line["tasks done"]) == ("2", "12 (10-14)")


def test_every_class_that_was_offered_tasks_has_a_line_in_a_real_result() -> None:
    assert [line["class"] for line in lines(scenes.surge())] == ["cpu", "io", "mixed"]
    assert [line["class"] for line in lines(scenes.idle_classes(400))] == ["io"]
    (io,) = (line for line in lines(scenes.surge()) if line["class"] == "io")
    # 200 slots a pod, 2 s a task, five pods: a little less, as the simulated workers take a moment for each.
    assert 400 < float(io["its maximum does"].removesuffix("/s")) <= 510


def test_the_command_prints_it(tmp_path: Path) -> None:
    result.write(run(), tmp_path / "one")
    options: Any = ["--reports", str(tmp_path), "--capacity"]
    done = CliRunner().invoke(command, options, catch_exceptions=False)
    assert done.exit_code == 0
    assert done.output.strip() == markdown([run()])


@pytest.mark.parametrize(("view", "shown"), [("--capacity", markdown), ("--table", table.markdown)])
def test_of_a_run_that_is_named_that_one_alone_is_printed(tmp_path: Path, view: str, shown: Any) -> None:
    named = replace(run(), scenario="named")
    result.write(run(), tmp_path / "one")
    result.write(named, tmp_path / "two")
    done = CliRunner().invoke(command, ["--reports", str(tmp_path), view, "two"], catch_exceptions=False)
    assert done.output.strip() == shown([named])
    with pytest.raises(InputError, match="three: no such run"):
        CliRunner().invoke(command, ["--reports", str(tmp_path), view, "three"], catch_exceptions=False)
