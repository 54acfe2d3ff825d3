"""Compiling once a machine: what is kept serves every checkout of the same sources, and none of other ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = """\
from sums_package.figures import STEP


def _twice(number):
    return 2 * number


def run(number):
    return _twice(number) + STEP
"""
SCRIPT = """\
import json
import sums_package.sums
from harness import compiling

twin = compiling.compiled(("sums_package.sums",), entries=("run",))["sums_package.sums"]
found = twin.run(20)
print(json.dumps([found, sum(twin.run.stats.cache_misses.values()), sum(twin.run.stats.cache_hits.values())]))
"""
COMPILED, FOUND = [1, 0], [0, 1]


def checkout(directory: Path, *, step: int = 2) -> Path:
    package = directory / "sums_package"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "figures.py").write_text(f"STEP = {step}\n")
    (package / "sums.py").write_text(SOURCE)
    return directory


def run_together(cache: Path, checkouts: Sequence[Path]) -> list[list[int]]:
    """Return what each process got, how often it compiled and how often it found the code in the cache."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": f"{path}:{ROOT}"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for path in checkouts
    ]
    return [json.loads(process.communicate()[0]) for process in processes]


def test_of_checkouts_that_start_together_one_compiles_and_the_other_finds_it(tmp_path: Path) -> None:
    found = run_together(tmp_path / "cache", [checkout(tmp_path / "one"), checkout(tmp_path / "other")])
    assert [result for result, *_ in found] == [42, 42]
    assert sorted(how for _, *how in found) == [FOUND, COMPILED]


def test_other_constants_of_an_imported_module_are_other_code(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert run_together(cache, [checkout(tmp_path / "one")]) == [[42, *COMPILED]]
    assert run_together(cache, [checkout(tmp_path / "other", step=3)]) == [[43, *COMPILED]]


def test_without_a_cache_that_can_be_written_it_compiles_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder would be")
    assert run_together(tmp_path / "cache", [checkout(tmp_path / "one")])[0][0] == 42
