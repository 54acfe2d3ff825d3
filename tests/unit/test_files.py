"""Files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.files import write_atomically, write_privately


def test_a_failed_write_leaves_the_old_file_and_no_scrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_atomically(tmp_path / "a.txt", "old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    with pytest.raises(OSError, match="disk full"):
        write_privately(path, "new")
    assert {entry.name: entry.read_text() for entry in tmp_path.iterdir()} == {"a.txt": "old"}


def test_a_file_that_has_the_content_is_left_alone_and_another_is_replaced(tmp_path: Path) -> None:
    path = write_atomically(tmp_path / "made" / "a.txt", "é")
    before = path.stat()
    assert write_atomically(path, "é".encode()).stat() == before
    assert write_atomically(path, b"\xff").read_bytes() == b"\xff"
    assert path.stat().st_ino != before.st_ino
    assert write_atomically(path, "whole again").read_text() == "whole again"


def test_a_private_file_is_this_users_alone_and_needs_its_directory(tmp_path: Path) -> None:
    write_privately(tmp_path / "secret", "x")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert write_atomically(tmp_path / "open", "x").stat().st_mode & 0o777 == 0o644
    with pytest.raises(FileNotFoundError):
        write_privately(tmp_path / "gone" / "secret", "x")
