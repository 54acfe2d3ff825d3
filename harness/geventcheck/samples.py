"""Reading a file of sample calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.chart.yaml_strict import load_document
from harness.spike.sections import Section


@dataclass(frozen=True)
class Call:
    """One sample: what a task is called with."""

    task: str
    args: list[Any]
    kwargs: dict[str, Any]


def load_calls(path: Path) -> tuple[Call, ...]:
    """Read the calls of a file, in its order. Raises InputError naming file, line, key and fix."""
    root = Section(load_document(path))
    calls = tuple(_call(section) for section in root.sections("calls"))
    root.end()
    return calls


def _call(section: Section) -> Call:
    arguments = section.take("args", [])
    if not isinstance(arguments, list):
        section.fail(f"is {arguments!r}, expected a list", "args")
    call = Call(section.text("task"), arguments, section.mapping("kwargs", {}))
    section.end()
    return call
