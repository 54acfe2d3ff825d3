"""The commit a run was made from, asked of git."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.spike import facts


def git(directory: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(directory), *who, *arguments], check=True, capture_output=True, timeout=20)


def test_the_commit_says_whether_files_were_changed(tmp_path: Path) -> None:
    assert facts.commit(tmp_path) is None
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-q", "-m", "one")
    clean = facts.commit(tmp_path)
    assert clean is not None
    assert len(clean) == 12
    (tmp_path / "a").write_text("2")
    assert facts.commit(tmp_path) == f"{clean}+changes"
