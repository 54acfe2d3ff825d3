"""The `harness` command in the tests' own process: one of its own spends a second or two of CPU on imports."""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
from pathlib import Path

from harness.chart.values import ROOT
from harness.cli import main
from harness.cli.endings import ENDINGS


def harness(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run it to its end; an exception that a shell would show as a traceback is raised here."""
    handlers = {ending: signal.getsignal(ending) for ending in ENDINGS}
    try:
        with contextlib.chdir(cwd):
            return captured(*arguments)
    finally:
        for ending, handler in handlers.items():
            signal.signal(ending, handler)


def captured(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Do the same with a command that asks for no signals and reads no relative path; in any thread."""
    words = [str(argument) for argument in arguments]
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(words)
    except SystemExit as ended:
        return subprocess.CompletedProcess(words, int(ended.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("the command must end by an exit code")
