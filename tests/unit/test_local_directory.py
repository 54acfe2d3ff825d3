"""The temporary directory of `harness local` stays only where there are logs in it that say what went wrong."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
import pytest

from harness.cli import local
from harness.errors import HarnessError, InputError


@pytest.mark.parametrize(
    ("written", "error", "told", "kept"),
    [
        (True, HarnessError("no worker"), HarnessError, True),
        (False, HarnessError("no helm"), HarnessError, False),
        (True, InputError("refused"), InputError, False),
        (True, KeyboardInterrupt(), click.Abort, False),
        (True, ValueError("a bug"), ValueError, False),
    ],
)
def test_it_is_kept_for_its_logs_alone(
    written: bool,
    error: BaseException,
    told: type[BaseException],
    kept: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: Any, directory: Path, **__: Any) -> None:
        if written:
            (directory / "log").touch()
        raise error

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(local, "local_release", fails)
    with pytest.raises(told) as caught:
        local.command.main(["--env", "dev", "--json"], standalone_mode=False)
    left = list(tmp_path.glob("celery-workers-local-*"))
    assert (f"The logs: {left[0] if left else ''}" in str(caught.value)) is kept
    assert [[path.name for path in directory.iterdir()] for directory in left] == ([["log"]] if kept else [])
