"""JSON lines, each with its place for messages."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from harness.chart.yaml_strict import shown
from harness.errors import InputError

STDIN = Path("-")


def read(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield ("file:line", value) of each line that is not blank, as it comes; `-` is standard input.

    Raises InputError for a file that cannot be read or a line that is not JSON.
    """
    source = "standard input" if path == STDIN else shown(path)
    with contextlib.ExitStack() as stack:
        try:
            stream = sys.stdin.buffer if path == STDIN else stack.enter_context(path.open("rb"))
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield f"{source}:{number}", _value(line, f"{source}:{number}")
        except OSError as error:
            raise InputError(f"{source}: cannot be read: {error.strerror or error}") from error


def _value(line: bytes, where: str) -> Any:
    try:
        return json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON: {error}; write one object a line") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")
