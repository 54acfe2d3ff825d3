"""Files appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from examx import files


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_written_under_the_task_id(tmp_path: Path):
    assert files.write("task-1", b"content", directory=tmp_path / "new") == tmp_path / "new" / "task-1.pdf"
    assert (tmp_path / "new" / "task-1.pdf").read_bytes() == b"content"
    assert names(tmp_path / "new") == ["task-1.pdf"]


def test_writing_again_replaces(tmp_path: Path):
    files.write("task-1", b"first", directory=tmp_path)
    files.write("task-1", b"second", directory=tmp_path)
    assert (tmp_path / "task-1.pdf").read_bytes() == b"second"


def test_nothing_is_left_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(_descriptor: int) -> None:
        assert [name for name in names(tmp_path) if name.endswith(".part")], "content is prepared under another name"
        assert not (tmp_path / "task-1.pdf").exists()
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        files.write("task-1", b"content", directory=tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("task_id", ["", "..", "../x", "a/b", ".hidden", "a\x00b", "x" * 129])
def test_ids_that_are_no_file_names_are_refused(task_id: str, tmp_path: Path):
    with pytest.raises(ValueError, match="file name"):
        files.path_of(task_id, directory=tmp_path)
