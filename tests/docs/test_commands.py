"""Commands in the pages: each is accounted for, what can be checked without running is, and quick ones are typed."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from harness.chart.values import ROOT
from harness.cli import cli
from harness.cli.endings import EXIT_MISSED
from tests import typed
from tests.commands import harness
from tests.docs.account import ACCOUNT, ALL, CI, TYPED_HERE, assigned, fits, listed, node_of, not_among, wanted_of
from tests.docs.blocks import Command
from tests.typed import Typed

LISTED = [
    *(line for kind in TYPED_HERE for line in ACCOUNT[kind]),
    *(line for lines in (*ACCOUNT["elsewhere"].values(), *ACCOUNT["not run"].values()) for line in lines),
]
NODES = [node for node in ACCOUNT["elsewhere"] if node != CI]


def test_every_command_is_accounted_for() -> None:
    missing = [each for each in ALL if not any(fits(line, each.text) for line in LISTED)]
    assert missing == [], "add them to tests/docs/commands.yaml: run, or not and why"


def test_the_account_has_nothing_that_no_page_has() -> None:
    assert [line for line in LISTED if not any(fits(line, each.text) for each in ALL)] == []


def test_ci_runs_what_is_said_of_it() -> None:
    ci = (ROOT / CI).read_text()
    run = set(re.findall(r"^\s*(?:nice -n \d+ )?(make [^>&|\n]*\w)", ci, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text()
    first = {f"make {name}" for line in run for name in needs(makefile, line.split()[1])}
    assert set(ACCOUNT["elsewhere"][CI]) <= run | first


def needs(makefile: str, target: str) -> list[str]:
    found = re.search(rf"^{re.escape(target)}:([^#\n]*)", makefile, re.MULTILINE)
    return found[1].split() if found else []


@pytest.mark.parametrize("node", NODES)
def test_a_test_that_runs_commands_exists_and_knows_what_to_run(node: str) -> None:
    file, _, function = node.partition("::")
    tree = ast.parse((ROOT / file).read_text())
    assert function in {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}
    assert function.startswith("test_")
    texts = assigned(node)
    assert texts, "every command of it is typed by this file"
    assert all(wanted.names for text in texts for wanted in wanted_of(text))


@pytest.mark.parametrize(
    ("page", "typed", "same"),
    [
        ("harness ops scale io 5 --for 1h", "harness ops scale io 2 --for 1h", True),
        ("harness ops scale io 5 --for 1h", "harness ops scale io 2", False),
        ("harness ops scale io 5 --for 1h", "harness ops pause io --for 1h", False),
        ("make spike", "harness spike small.yaml --env prod", True),
        ("make spike RUNTIME=kind", "harness spike small.yaml --env prod", False),
        ("make spike RUNTIME=kind", "harness spike small.yaml --runtime local", False),
        ("make spike RUNTIME=kind", "harness spike small.yaml --runtime cluster", True),
        ("make soak TASKS=50000", "harness soak --tasks 50", True),
        ("make soak TASKS=50000", "harness soak", False),
        ("harness soak --no-faults", "harness soak --faults", False),
        ("make claims", "harness claims --output x.md", True),
        ("harness watch --json | jq .alerts", "harness watch --json --looks 1", True),
        ("helm install celery charts/x -f a.yaml", "helm install celery y --values b.yaml --namespace n", True),
        ("helm install celery charts/x -f a.yaml", "helm upgrade celery y --values b.yaml", False),
        ("helm install celery charts/x -f a.yaml", "helm install parcels y --values b.yaml", False),
        ("kubectl rollout status deployment/a --timeout=5m", "kubectl -n x rollout status b --timeout=9s", True),
        ("kubectl exec d/a -- celery -A x call mail.send", "kubectl exec d/b -- celery -A z call b.c", True),
        ("kubectl exec d/a -- celery -A x call mail.send", "kubectl exec d/b -- celery -A z inspect active", False),
    ],
)  # fmt: skip
def test_what_a_test_types_is_held_against_the_page(page: str, typed: str, same: bool) -> None:
    assert all(wanted.is_in(shlex.split(typed)) for wanted in wanted_of(page)) is same


@pytest.mark.parametrize(
    ("started", "words"),
    [
        ([sys.executable, "-m", "harness", "ops", "log"], "harness ops log"),
        (["/usr/bin/helm", "test", Path("x")], "helm test x"),
        (["bash", "-c", "bin/kubectl get pods"], "kubectl get pods"),
        (["/bin/bash", "-c", "echo 'never ends"], "bash -c echo 'never ends"),
        ([sys.executable, "-c"], f"{Path(sys.executable).name} -c"),
        (["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "locust", "--headless"], "locust --headless"),
        (b"true", "true"),
    ],
)
def test_a_process_is_known_by_its_words(started: Any, words: str) -> None:
    assert [" ".join(one) for one in typed.commands_of(started)] == [words]


def test_what_is_refused_or_not_typed_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ACCOUNT["elsewhere"], "t.py::t", ["harness ops log", "make report OPEN=1"])
    good, bad = Typed(("harness", "ops", "log"), 0), Typed(("harness", "report", "--open"), 2)
    assert not_among([good, bad], node=node_of("t.py::t[1]@group")) == ["make report OPEN=1"]
    assert not_among([good, replace(bad, code=1)], node="t.py::t") == []


def test_commands_run_here_are_noted_with_their_ends() -> None:
    since = len(typed.JOURNAL.typed)
    subprocess.run([sys.executable, "-c", "raise SystemExit(3)"], check=False)
    harness("spike", "--list")
    harness("spike", "no-such-scenario")
    assert [(one.words[:3], one.code) for one in typed.JOURNAL.typed[since:]][-2:] == [
        (("harness", "spike", "--list"), 0),
        (("harness", "spike", "no-such-scenario"), 2),
    ]
    assert 3 in {one.code for one in typed.JOURNAL.typed[since:]}


@pytest.mark.parametrize("text", sorted({each.text for each in ALL if re.match(r"(\.venv/bin/)?harness ", each.text)}))
def test_a_harness_command_has_these_options(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(re.split(r" [|>] ", text)[0])[1:]
    for name in ("work/reports/RUN", "shop"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    for word in words:  # files of the reader's: that they exist is checked while options are read
        if re.search(r"\.(ya?ml|csv|json|jsonl|md)$", word) and not Path(word).is_absolute():
            Path(word).parent.mkdir(parents=True, exist_ok=True)
            Path(word).touch()
    command: click.Command = cli
    context = click.Context(cli, info_name="harness")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        found = command.get_command(context, name)
        assert found is not None, f"harness has no command {name}"
        command = found
    if words not in ([], ["--help"]):
        command.make_context(command.name, words, parent=context)


@pytest.mark.parametrize("text", sorted({each.text for each in ALL if each.text.startswith("make ")}))
def test_a_target_of_make_exists(text: str) -> None:
    target, *settings = shlex.split(text)[1:]
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"no target {target}"
    for setting in settings:
        assert f"$({setting.partition('=')[0]})" in makefile or f"{setting.partition('=')[0]})" in makefile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks like the checkout, with files of a reader's, in which runs leave what they leave."""
    for entry in ROOT.iterdir():
        if entry.name not in {"reports", "dist", "build", ".git", "values"}:
            (tmp_path / entry.name).symlink_to(entry)
    shutil.copytree(ROOT / "values", tmp_path / "values")  # `harness tune` writes into it
    for name in ("mine.yaml", "my.yaml", "my-values.yaml"):
        (tmp_path / name).write_text("workers: {io: {replicas: {max: 4}}}\n")
    (tmp_path / "day.csv").write_text("minute,count\n" + "".join(f"09:{minute:02},120\n" for minute in range(30)))
    page = (ROOT / "docs" / "how-to" / "your-traffic.md").read_text()
    (scenario,) = re.findall(r"```yaml\n(# results-day\.yaml\n.*?)```", page, re.DOTALL)
    (tmp_path / "results-day.yaml").write_text(scenario)
    return tmp_path


ANSWERED = re.compile(r"would fail|\bMISSED\b", re.IGNORECASE)


def type_in(folder: Path, command: Command, *, seconds: float) -> None:
    """Type a command as its page has it; one that foretells a missed objective has answered, too."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs, "BROWSER": "true"}  # which opens nothing, and says that it has
    done = subprocess.run(
        ["bash", "-c", command.text], cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds
    )
    told = f"{command.page}: {command.text}\n{done.stdout}\n{done.stderr}"
    missed = typed.BAD_INPUT if command.text.startswith("make ") else EXIT_MISSED
    assert done.returncode == 0 or (done.returncode == missed and ANSWERED.search(done.stdout)), told
    assert "Traceback" not in done.stderr, told


@pytest.mark.parametrize("page", sorted({each.page for each in ALL if listed("quick", each)}))
def test_quick_commands_work(page: str, folder: Path) -> None:
    for command in [each for each in ALL if each.page == page and listed("quick", each)]:
        type_in(folder, command, seconds=100)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", sorted({each.page for each in ALL if listed("full", each)}))
def test_longer_commands_work(page: str, folder: Path) -> None:
    for command in [each for each in ALL if each.page == page and (listed("quick", each) or listed("full", each))]:
        type_in(folder, command, seconds=400)  # the first one compiles the simulator
