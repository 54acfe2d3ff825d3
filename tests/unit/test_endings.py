"""How the command line ends when it is interrupted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness.cli import EXIT_INTERRUPTED

PROGRAM = """
import click
from harness import cli

@click.command()
def command():
    exec("raise KeyboardInterrupt")

cli.COMMANDS["interrupted"] = __name__
cli.main()
"""


def test_an_interrupt_while_a_module_makes_its_dataclasses_ends_the_command_with_its_exit_code(tmp_path: Path) -> None:
    """A dataclass is made by exec, and commands are imported when they are asked for."""
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "program", "interrupted"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == EXIT_INTERRUPTED, ended.stderr
    assert "interrupted" in ended.stderr
