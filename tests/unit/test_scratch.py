"""Temporary directories: gone with their block, and with the next one where their process was killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness import scratch

OWNER = """
import time
from harness import scratch
with scratch.directory("test") as made:
    (made / "data").write_text("x")
    print(made, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's temporary directories are made."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_it_goes_with_the_block_however_that_ends(temporary: Path) -> None:
    with scratch.directory("test") as made:
        assert made.parent == temporary
        assert made.name.startswith("celery-workers-test-")
        (made / "data").write_text("x")
    with pytest.raises(KeyboardInterrupt), scratch.directory("test"):
        raise KeyboardInterrupt
    assert list(temporary.iterdir()) == []


def test_a_killed_processes_goes_with_the_next_and_a_living_ones_stays(temporary: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        left = Path(owner.stdout.readline().strip())
        with scratch.directory("other"):
            assert (left / "data").exists()
        owner.kill()
    assert left.exists()
    with scratch.directory("other") as made:
        assert list(temporary.iterdir()) == [made]
    assert list(temporary.iterdir()) == []


def test_one_that_is_kept_stays_for_good(temporary: Path) -> None:
    with scratch.directory("test") as made:
        (made / "log").write_text("x")
        scratch.keep(made)
    with scratch.directory("test"):
        pass
    assert [path.name for path in made.iterdir()] == ["log"]


@pytest.mark.parametrize("mark", ["empty", "absent", "a link"])
def test_what_nobody_has_marked_as_made_here_is_left_alone(temporary: Path, mark: str) -> None:
    other, elsewhere = temporary / "celery-workers-test-other", temporary / "elsewhere"
    other.mkdir()
    elsewhere.write_text("1\n")
    if mark == "empty":  # its maker is about to lock it
        (other / scratch.MARK).touch()
    elif mark == "a link":
        (other / scratch.MARK).symlink_to(elsewhere)
    with scratch.directory("test"):
        pass
    assert other.exists()
