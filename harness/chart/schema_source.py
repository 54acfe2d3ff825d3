"""Makes the values schema of values.yaml's comments and defaults and of schema.fragment.yaml. Pure: text in, map out.

A key with a comment `# --` is a leaf, whatever stands below it; any other map is a section of leaves. A leaf's type is
that of its default, and what the fragment says about its path goes over that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from harness.chart import yaml_strict
from harness.chart.yaml_strict import Document, KeyPath
from harness.errors import InputError

DRAFT = "http://json-schema.org/draft-07/schema#"
TITLE = "Values of the chart celery-workers"
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
_SECTIONS = ("forms", "root", "shapes", "definitions", "values")
_TYPED = frozenset({"anyOf", "$ref"})  # these say the type themselves


def build(values_text: str, fragment_text: str) -> dict[str, Any]:
    """Return the schema. Raises InputError naming every key that stands in only one of the files or lacks a shape."""
    fragment = yaml_strict.load_text(fragment_text, "schema.fragment.yaml")
    source = _Source(yaml_strict.parse(values_text, "values.yaml"), values_text.splitlines(), fragment)
    schema = source.schema()
    if problems := [*source.problems, *source.unused()]:
        raise InputError("values.yaml and schema.fragment.yaml disagree:\n" + "\n".join(f"  - {p}" for p in problems))
    return schema


class _Source:
    """One reading of both files; `problems` grows while the schema is made."""

    def __init__(self, document: Document, rows: Sequence[str], fragment: Mapping[str, Any]) -> None:
        self.document = document
        self.rows = rows
        self.fragment = {name: fragment.get(name) or {} for name in _SECTIONS}
        self.problems = [f"schema.fragment.yaml: unknown key {key}" for key in fragment if key not in _SECTIONS]
        self.leaves: set[str] = set()

    def schema(self) -> dict[str, Any]:
        definitions = dict(self.fragment["definitions"])
        root = self.section((), self.document.data)
        for key, name in self.fragment["shapes"].items():
            whole = root["properties"].get(key, {})
            definitions[name] = {**whole, **definitions.get(name, {})}
            shape = [{"$ref": f"#/definitions/{name}"}, _needed(whole, self.document.data.get(key) or {})]
            root["properties"][key] = {"description": whole.get("description", ""), "allOf": shape}
        root["properties"] = {**self.fragment["root"], **root["properties"]}
        return {"$schema": DRAFT, "title": TITLE, **root, "definitions": definitions}

    def section(self, path: KeyPath, data: Mapping[str, Any]) -> dict[str, Any]:
        properties = {key: self.entry((*path, key), value) for key, value in data.items()}
        entry = {"type": "object", "additionalProperties": False, "properties": properties}
        shared = bool(path) and path[0] in self.fragment["shapes"]
        needed = [] if shared else [key for key, inner in properties.items() if not _admits_null(inner)]
        return {**entry, "required": needed} if needed else entry

    def entry(self, path: KeyPath, value: Any) -> dict[str, Any]:
        shown, line = yaml_strict.show_path(path), self.document.lines[path]
        text, leaf = comment(self.rows, line, str(path[-1]))
        if not text:
            self.problems.append(f"values.yaml:{line}: {shown} has no comment above it")
        if isinstance(value, dict) and value and not leaf:
            return {"description": text, **self.section(path, value)}
        if text and not leaf:
            self.problems.append(f"values.yaml:{line}: the comment of {shown}, a leaf, begins with `# --`")
        self.leaves.add(shown)
        said = self.fragment["values"].get(shown, {})
        of_default = {} if value is None or _TYPED & said.keys() else {"type": _TYPES[type(value)]}
        found = {"description": text, **of_default, **said}
        self.problems += [f"schema.fragment.yaml: {shown} needs {what}" for what in _missing(found)]
        return found

    def unused(self) -> Iterator[str]:
        for part, known, what in (("values", self.leaves, "leaf"), ("shapes", set(self.document.data), "key")):
            for key in sorted(self.fragment[part].keys() - known):
                yield f"schema.fragment.yaml: {key} is no {what} of values.yaml"


def comment(rows: Sequence[str], line: int, key: str) -> tuple[str, bool]:
    """Return the comment right above a key's line (from 1), as one line, and whether it marks a leaf (`# --`)."""
    begins = re.match(rf"(\s*)[\"']?{re.escape(key)}[\"']?\s*:", rows[line - 1])
    if begins is None:
        return "", False  # inside a flow map: the comment belongs to the key that begins the line
    above = takewhile(lambda row: row.startswith(f"{begins[1]}#"), reversed(rows[: line - 1]))
    found = [row.strip().lstrip("#").strip() for row in above][::-1]
    marks = [index for index, text in enumerate(found) if text.startswith("--")]
    text = " ".join(found[marks[-1] :] if marks else found)
    return text.removeprefix("--").strip(), bool(marks)


def _missing(entry: Mapping[str, Any]) -> Iterator[str]:
    kinds = entry.get("type", [])
    if not kinds and not _TYPED & entry.keys():
        yield "a type: its default is null"
    if "array" in kinds and "items" not in entry:
        yield "`items`: the shape of an entry"
    if "object" in kinds and "additionalProperties" not in entry:
        yield "`additionalProperties`: the shape of what a user adds, or true for Kubernetes' own"


def _admits_null(entry: Mapping[str, Any]) -> bool:
    return "null" in entry.get("type", ()) or any(_admits_null(choice) for choice in entry.get("anyOf", ()))


def _needed(entry: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return which of a map's keys must be there, at every depth: those that have a default."""
    properties = {key: inner for key, inner in entry.get("properties", {}).items() if key in data}
    required = [key for key, inner in properties.items() if not _admits_null(inner)]
    below = {key: _needed(inner, data[key]) for key, inner in properties.items() if isinstance(data[key], dict)}
    found = {"required": required, "properties": {key: inner for key, inner in below.items() if inner}}
    return {name: part for name, part in found.items() if part}
