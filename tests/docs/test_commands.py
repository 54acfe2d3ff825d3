"""Commands in the pages: each is accounted for, what can be checked without running is, and quick ones are typed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from harness.chart.values import ROOT
from harness.cli import cli
from tests.docs.blocks import Command, commands

ALL = commands()
ACCOUNT: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("commands.yaml").read_text())
LISTED = [
    *ACCOUNT["quick"],
    *ACCOUNT["full"],
    *(line for lines in (*ACCOUNT["elsewhere"].values(), *ACCOUNT["not run"].values()) for line in lines),
]


def fits(line: str, command: str) -> bool:
    """Whether a line of commands.yaml stands for a command."""
    return command.startswith(line[:-1]) if line.endswith("*") else command == line


def listed(kind: str, command: Command) -> bool:
    return any(fits(line, command.text) for line in ACCOUNT[kind])


def test_every_command_is_accounted_for() -> None:
    missing = [each for each in ALL if not any(fits(line, each.text) for line in LISTED)]
    assert missing == [], "add them to tests/docs/commands.yaml: run, or not and why"


def test_the_account_has_nothing_that_no_page_has() -> None:
    assert [line for line in LISTED if not any(fits(line, each.text) for each in ALL)] == []


def test_files_that_run_commands_exist() -> None:
    assert [name for name in ACCOUNT["elsewhere"] if not (ROOT / name).exists()] == []
    ci = (ROOT / ".ci" / "run").read_text()
    assert [line for line in ACCOUNT["elsewhere"][".ci/run"] if line not in ci] == []


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
        if entry.name not in {"reports", "dist", "build", ".git"}:
            (tmp_path / entry.name).symlink_to(entry)
    for name in ("mine.yaml", "my.yaml"):
        (tmp_path / name).write_text("workers: {io: {replicas: {max: 4}}}\n")
    (tmp_path / "day.csv").write_text("minute,count\n" + "".join(f"09:{minute:02},120\n" for minute in range(30)))
    page = (ROOT / "docs" / "how-to" / "your-traffic.md").read_text()
    (scenario,) = re.findall(r"```yaml\n(# results-day\.yaml\n.*?)```", page, re.DOTALL)
    (tmp_path / "results-day.yaml").write_text(scenario)
    return tmp_path


def type_in(folder: Path, command: Command) -> None:
    """Type a command as its page has it; a plan that foretells a missed objective has answered, too."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command.text], cwd=folder, env=environment, capture_output=True, text=True, timeout=100
    )
    told = f"{command.page}: {command.text}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0 or "WOULD FAIL" in done.stdout, told
    assert "Traceback" not in done.stderr, told


@pytest.mark.parametrize("page", sorted({each.page for each in ALL if listed("quick", each)}))
def test_quick_commands_work(page: str, folder: Path) -> None:
    for command in [each for each in ALL if each.page == page and listed("quick", each)]:
        type_in(folder, command)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", sorted({each.page for each in ALL if listed("full", each)}))
def test_longer_commands_work(page: str, folder: Path) -> None:
    for command in [each for each in ALL if each.page == page and (listed("quick", each) or listed("full", each))]:
        type_in(folder, command)
