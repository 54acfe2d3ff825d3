"""A lock has one holder, is waited for with a limit, and ends with its holder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.locks import locked

HOLDER = """
import sys
from pathlib import Path
from harness.locks import locked
with locked(Path(sys.argv[1]), doing="test", within_seconds=5):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_who_waits_says_so_once_gives_up_at_the_limit_and_gets_it_when_the_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "made" / "lock"
    said: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(TimeoutError, match=r"waited 0 s for another process's test .*lock"),
            locked(path, doing="test", within_seconds=0.3, say=said.append),
        ):
            pytest.fail("two held it")
        assert said == ["waiting for another process's test"]
        holder.kill()
        holder.wait(10)
        with locked(path, doing="test", within_seconds=5, say=said.append):
            assert path.exists()


def test_a_place_where_no_file_can_be_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"), locked(tmp_path / "file" / "lock", doing="test", within_seconds=1):
        pytest.fail("there is no such lock")
