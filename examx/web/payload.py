"""What a stranger may say about a task: its name, its arguments, its id. Pure."""

from __future__ import annotations

import inspect
import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LARGEST_NUMBER = 100_000
"""Of pages, rows, students: what a request costs a worker must have a limit."""
LONGEST_TEXT = 1000
LONGEST_LIST = 1000
_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def is_task_id(text: str) -> bool:
    """Whether an id can be taken: it names rows and files."""
    return _TASK_ID.fullmatch(text) is not None


def problems(parameters: Mapping[str, inspect.Parameter], arguments: object) -> list[str]:
    """What is wrong with the arguments of a task that takes `parameters`, all of it; empty where nothing is."""
    if not isinstance(arguments, dict):
        return ["the body must be a JSON object: the task's keyword arguments"]
    unknown = [f"no argument {name[:64]!r}" for name in arguments if name not in parameters]
    missing = [
        f"{name}: missing"
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty and name not in arguments
    ]
    wrong = [
        f"{name}: expected {parameters[name].annotation}, numbers 0 to {LARGEST_NUMBER}, texts and lists up to "
        f"{LONGEST_TEXT}"
        for name, value in arguments.items()
        if name in parameters and not _fits(str(parameters[name].annotation), value)
    ]
    return [*unknown, *missing, *wrong]


def _fits(annotation: str, value: object) -> bool:
    return any(_KINDS[kind](value) for kind in annotation.split(" | "))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_NUMBER


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value) and 0 <= value <= LARGEST_NUMBER
    return _is_whole(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT


def _are_whole(value: object) -> bool:
    return isinstance(value, list) and len(value) <= LONGEST_LIST and all(map(_is_whole, value))


_KINDS: Mapping[str, Callable[[object], bool]] = {
    "int": _is_whole,
    "float": _is_number,
    "str": _is_text,
    "Iterable[int]": _are_whole,
    "None": lambda value: value is None,
}
"""What each annotation of a task's parameters takes; one that is not here fails the tests, not a request."""
