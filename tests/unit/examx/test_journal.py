"""The stand-ins' record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from examx.standins import journal
from examx.standins.journal import Journal


def test_lines_are_read_on_from_an_offset(tmp_path: Path):
    record = Journal(tmp_path / "j", clock=lambda: 5.25)
    record.record(kind="mail", task_id="a", status=250)
    first = record.read(0)
    assert json.loads(first) == {"t": 5.25, "id": "a", "kind": "mail", "status": 250}
    record.record(kind="ai", task_id="b", status=503)
    assert json.loads(record.read(len(first)))["id"] == "b"
    assert record.read(10**6) == b""
    assert record.counts == {"mail 250": 1, "ai 503": 1}


def test_what_comes_twice_stands_twice(tmp_path: Path):
    record = Journal(tmp_path / "j")
    for _ in range(2):
        record.record(kind="mail", task_id="a", status=250)
    assert [json.loads(line)["id"] for line in record.read(0).splitlines()] == ["a", "a"]


def test_a_line_is_in_the_file_before_record_returns(tmp_path: Path):
    Journal(tmp_path / "j").record(kind="mail", task_id="a", status=250)
    assert (tmp_path / "j").read_text().endswith("\n")


def test_a_page_ends_with_a_whole_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal, "PAGE_BYTES", 100)
    record = Journal(tmp_path / "j")
    for number in range(10):
        record.record(kind="mail", task_id=f"task-{number}", status=250)
    offset, found = 0, []
    while page := record.read(offset):
        assert len(page) <= 100
        found += [json.loads(line)["id"] for line in page.splitlines()]
        offset += len(page)
    assert found == [f"task-{number}" for number in range(10)]


def test_a_journal_is_gone_on_with_and_a_torn_line_ended(tmp_path: Path):
    (tmp_path / "j").write_bytes(b'{"id": "old"}\n{"id": "to')
    record = Journal(tmp_path / "j")
    record.record(kind="mail", task_id="new", status=250)
    lines = record.read(0).splitlines()
    assert lines[:2] == [b'{"id": "old"}', b'{"id": "to']
    assert json.loads(lines[2])["id"] == "new"


def test_a_line_that_is_cut_short_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    record = Journal(tmp_path / "j")
    monkeypatch.setattr(journal.os, "write", lambda _file, line: len(line) - 1)
    with pytest.raises(OSError, match="disk is full"):
        record.record(kind="mail", task_id="a", status=250)
    assert not record.counts
