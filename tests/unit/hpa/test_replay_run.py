"""Replaying a local run's own record: what a change of the autoscaler, a fresh start and damage do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.autoscaling import ControllerConfig
from harness.cli import main
from harness.errors import InputError
from harness.hpa.replaying import replay_run
from harness.runtime.local import journal
from tests.unit.autoscaling.builders import external, manifest, rules


def autoscaler(t: float, deployment: str = "io", *, pods: int = 3, fresh: bool = True, **flags: Any) -> dict[str, Any]:
    document = manifest(external(average="200"), behavior={"scaleUp": rules(("Pods", pods, 60))})
    return journal.autoscaler_line(deployment, document, ControllerConfig(**flags), now=t, fresh=fresh)


def sync(t: float, replicas: int, desired: int, deployment: str = "io", messages: int = 5200) -> dict[str, Any]:
    return {
        "t": t,
        "deployment": deployment,
        "replicas": {"spec": replicas, "status": replicas},
        "pods": [],
        "external": {"q": [str(messages)]},
        "unavailable": [],
        "desired": desired,
        "reason": "as then",
    }


@pytest.fixture
def run(tmp_path):
    def write(autoscalers: list[Any], syncs: list[Any]) -> Path:
        home = tmp_path / "run" / "runtime"
        home.mkdir(parents=True, exist_ok=True)
        for name, lines in ((journal.AUTOSCALERS, autoscalers), (journal.SYNCS, syncs)):
            (home / name).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        return home.parent

    return write


def again(directory: Path, *, name: str | None = None, **flags: Any) -> list[tuple[str, int, int | None]]:
    decided = replay_run(directory, name=name, flags=flags)
    return [(one.deployment, one.decision.desired, one.recorded) for one in decided]


def test_each_deployment_by_its_own_autoscaler(run):
    directory = run(
        [autoscaler(0), autoscaler(0, "cpu", pods=1)],
        [sync(1, 1, 4), sync(1, 1, 2, "cpu"), sync(16, 4, 4), sync(16, 2, 2, "cpu"), sync(61, 4, 7)],
    )
    assert again(directory) == [("io", 4, 4), ("cpu", 2, 2), ("io", 4, 4), ("cpu", 2, 2), ("io", 7, 7)]
    assert again(directory, name="cpu") == [("cpu", 2, 2), ("cpu", 2, 2)]
    assert again(directory / "runtime", name="cpu") == again(directory, name="cpu")


def test_a_changed_autoscaler_keeps_its_memory_a_fresh_one_has_none(run):
    syncs = [sync(1, 1, 4), sync(16, 4, 4), sync(31, 4, 4)]
    assert again(run([autoscaler(0), autoscaler(20, pods=4, fresh=False)], syncs))[-1] == ("io", 5, 4)
    assert again(run([autoscaler(0), autoscaler(20, pods=4)], syncs))[-1] == ("io", 8, 4)


def test_the_runs_own_flags_count_and_others_may_be_given(run):
    near = [sync(1, 1, 1, messages=210)]
    assert again(run([autoscaler(0)], near)) == [("io", 1, 1)]
    assert again(run([autoscaler(0, tolerance=0.01)], near)) == [("io", 2, 1)]
    assert again(run([autoscaler(0)], near), tolerance=0.01) == [("io", 2, 1)]


def test_the_command_counts_what_is_other_than_the_runs(run, capsys):
    directory = run([autoscaler(0)], [sync(1, 1, 4), sync(16, 4, 5)])
    with pytest.raises(SystemExit) as ended:
        main(["hpa", "replay", "--run", str(directory)])
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (None, "2 decisions, 1 other than the run's\n")
    first = json.loads(out.splitlines()[0])
    assert (first["t"], first["deployment"], first["desired"]) == (1, "io", 4)
    with pytest.raises(SystemExit):
        main(["hpa", "replay", "--run", str(directory), "--name", "io", "--table"])
    assert "2 decisions" in capsys.readouterr().err


def test_refused(run, tmp_path):
    with pytest.raises(InputError, match=r"only local runs record what their autoscalers saw; .*`harness hpa record`"):
        again(tmp_path)
    directory = run([autoscaler(0)], [sync(1, 1, 4, "web")])
    with pytest.raises(InputError, match=r"no autoscaler of Deployment web; there are those of: io"):
        again(directory, name="web")
    with pytest.raises(InputError, match=r"autoscaling.jsonl:1: no line of autoscalers.jsonl says by which autoscaler"):
        again(directory)
    with pytest.raises(InputError, match=r"autoscalers.jsonl:1: .*controller"):
        again(run([{"t": 0}], []))
    with pytest.raises(InputError, match=r"autoscaling.jsonl:1: t is None, must be a number"):
        again(run([autoscaler(0)], [{**sync(1, 1, 4), "t": None}]))
