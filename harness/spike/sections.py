"""Reading a YAML file key by key, so that every complaint names file, line and key. Pure."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from harness.chart.yaml_strict import Document, KeyPath, show_path
from harness.errors import InputError

_REQUIRED: Any = object()


def closest(word: str, known: Iterable[str]) -> str:
    """Return a hint like " (did you mean 'seconds'?)", empty when nothing is close."""
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


class Section:
    """One mapping of a file. Each value is asked for once; `end` refuses the keys nobody asked for."""

    def __init__(self, document: Document, path: KeyPath = (), data: Mapping[str, Any] | None = None) -> None:
        self._document = document
        self._path = path
        self._data = document.data if data is None else data
        self._asked: set[str] = set()

    def fail(self, message: str, *keys: str | int) -> NoReturn:
        """Raise InputError at the line of the key path below this section, or of the nearest key above it."""
        path = (*self._path, *keys)
        lines = (self._document.lines.get(path[:length]) for length in range(len(path), 0, -1))
        line = next((line for line in lines if line is not None), None)
        where = self._document.name if line is None else f"{self._document.name}:{line}"
        raise InputError(f"{where}: {show_path(path)}: {message}" if path else f"{where}: {message}")

    def has(self, key: str) -> bool:
        """Whether the key is given and not null."""
        return self._data.get(key) is not None

    def take(self, key: str, default: Any = _REQUIRED) -> Any:
        """Return the value as it stands; null is as good as absent."""
        self._asked.add(key)
        value = self._data.get(key)
        if value is not None:
            return value
        if default is _REQUIRED:
            self.fail(f"{key!r} is missing")
        return default

    def text(self, key: str, default: Any = _REQUIRED) -> str:
        """Return a text that is not empty."""
        value = self.take(key, default)
        if value is not default and (not isinstance(value, str) or not value.strip()):
            self.fail(f"is {value!r}, expected text", key)
        return str(value).strip()

    def number(
        self, key: str, default: Any = _REQUIRED, *, least: float | None = None, above: float | None = None
    ) -> float:
        """Return a finite number, at least `least`, more than `above`."""
        value = self.take(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            self.fail(f"is {value!r}, expected a number", key)
        if least is not None and value < least:
            self.fail(f"is {value:g}, must be at least {least:g}", key)
        if above is not None and value <= above:
            self.fail(f"is {value:g}, must be above {above:g}", key)
        return float(value)

    def whole(self, key: str, default: Any = _REQUIRED, *, least: int | None = None) -> int:
        """Return a whole number."""
        value = self.number(key, default, least=least)
        if value != int(value):
            self.fail(f"is {value:g}, expected a whole number", key)
        return int(value)

    def mapping(self, key: str, default: Any = _REQUIRED) -> dict[str, Any]:
        """Return a mapping whose keys are the user's."""
        value = self.take(key, default)
        if not isinstance(value, Mapping):
            self.fail(f"is {value!r}, expected a mapping", key)
        return dict(value)

    def section(self, key: str) -> Section:
        """Return a mapping to read key by key, empty when absent."""
        return Section(self._document, (*self._path, key), self.mapping(key, {}))

    def sections(self, key: str) -> list[Section]:
        """Return the mappings of a list that is not empty."""
        found = []
        for index, item in enumerate(self.list(key)):
            if not isinstance(item, Mapping):
                self.fail(f"is {item!r}, expected a mapping", key, index)
            found.append(Section(self._document, (*self._path, key, index), item))
        return found

    def list(self, key: str) -> list[Any]:
        """Return a list that is not empty."""
        value = self.take(key)
        if not isinstance(value, list) or not value:
            self.fail(f"is {value!r}, expected a list with at least one entry", key)
        return value

    def end(self) -> None:
        """Refuse keys that were never asked for."""
        for key in self._data:
            if key not in self._asked:
                known = ", ".join(sorted(self._asked))
                self.fail(f"unknown key{closest(key, self._asked)}; known here: {known}", key)
