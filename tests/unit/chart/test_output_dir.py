"""Rendered objects as files: in order, all or nothing, and nobody else's file touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.chart import output_dir
from harness.errors import InputError


def thing(kind: str, name: str, **metadata: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, **metadata}}


OLD = output_dir.files([thing("ConfigMap", "a"), thing("Deployment", "b"), thing("Job", "c")])
NEW = output_dir.files([thing("ConfigMap", "a"), thing("Deployment", "d")])


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_files_are_numbered_in_the_order_of_the_objects() -> None:
    many = output_dir.files([thing("Deployment", f"x{number}") for number in range(100)])
    assert list(many)[:2] == ["001-deployment-x0.yaml", "002-deployment-x1.yaml"]
    assert sorted(many) == list(many)


def test_what_helm_test_runs_is_left_out() -> None:
    kept = output_dir.files([thing("Pod", "t", annotations={"helm.sh/hook": "test"}), thing("Job", "c")])
    assert list(kept) == ["01-job-c.yaml"]


def test_a_second_call_replaces_the_first_ones_files(tmp_path: Path) -> None:
    output_dir.write(tmp_path / "out", OLD)
    written = output_dir.write(tmp_path / "out", NEW)
    assert names(tmp_path / "out") == [output_dir.LIST, *NEW]
    assert written == [tmp_path / "out" / name for name in NEW]
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out").stat().st_mode & 0o555 == 0o555


def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    output_dir.write(tmp_path / "out", NEW)
    assert names(tmp_path / "out") == [output_dir.LIST, *NEW]


def test_a_link_keeps_leading_there(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    output_dir.write(tmp_path / "link", NEW)
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "real") == [output_dir.LIST, *NEW]


@pytest.mark.parametrize("other", ["mine.yaml", ".hidden"])
def test_a_directory_with_something_else_stays_as_it_is(tmp_path: Path, other: str) -> None:
    output_dir.write(tmp_path, OLD)
    (tmp_path / other).write_text("mine")
    before = names(tmp_path)
    with pytest.raises(InputError, match=f"holds {other}, which no render wrote"):
        output_dir.write(tmp_path, NEW)
    assert names(tmp_path) == before


def test_a_failure_leaves_the_former_files(tmp_path: Path) -> None:
    output_dir.write(tmp_path / "out", OLD)
    impossible = {**NEW, "no-such-directory/x.yaml": thing("Job", "x")}
    with pytest.raises(InputError, match="name a directory that you may make or replace"):
        output_dir.write(tmp_path / "out", impossible)
    assert names(tmp_path / "out") == [output_dir.LIST, *OLD]
    assert names(tmp_path) == ["out"]


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="--output-dir"):
        output_dir.write(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_text() == "mine"
