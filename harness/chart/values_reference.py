"""Writes the README's reference of the values from the schema and the defaults. Pure: maps in, Markdown out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

BEGIN = "<!-- Written by `make golden` from values.yaml and schema.fragment.yaml. -->"
END = "<!-- Here ends what `make golden` writes. -->"
_LONG_CHARACTERS = 60
_WORDS = {"string": "text", "integer": "whole number", "boolean": "true or false", "array": "list", "object": "map"}
_HEAD = "| Key | Type | Default | Meaning |\n|---|---|---|---|\n"


def insert(readme: str, schema: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Return the README with the part between its two marks made anew."""
    before, _, rest = readme.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{_Writer(schema).tables(defaults)}{END}{rest.partition(END)[2]}"


class _Writer:
    """Follows references; a shape that a key at the top shows in full is only named elsewhere."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema
        self.owners = {it["allOf"][0]["$ref"]: key for key, it in schema["properties"].items() if "allOf" in it}

    def tables(self, defaults: Mapping[str, Any]) -> str:
        """Return one table of the leaves at the top, then one a section."""
        top = {key: self.full(entry) for key, entry in self.schema["properties"].items()}
        sections = {key: entry for key, entry in top.items() if "properties" in entry}
        text = self.table({key: entry for key, entry in top.items() if key not in sections}, defaults, "")
        for key, entry in sections.items():
            text += f"### {key}\n\n{_cell(entry['description'])}\n\n"
            text += self.table(entry["properties"], defaults.get(key) or {}, f"{key}.")
        return text

    def table(self, entries: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str) -> str:
        """Return the rows of a section's leaves, and of what is inside them."""
        return _HEAD + "\n".join(self.rows(entries, defaults, prefix)) + "\n\n"

    def rows(self, entries: Mapping[str, Any], defaults: Any, prefix: str) -> Iterator[str]:
        known = defaults if isinstance(defaults, Mapping) else {}
        for key, written in entries.items():
            entry, path = self.full(written), prefix + key
            section = "properties" in entry and bool(known.get(key))
            default = _short(known[key]) if key in known and not section else ""
            if entry.get("description"):
                yield f"| `{path}` | {_kind(entry)} | {default} | {_cell(entry['description'])} |"
            yield from self.rows(entry.get("properties", {}), known.get(key), f"{path}.")
            named = [entry.get("additionalProperties"), *entry.get("patternProperties", {}).values()]
            inner = {"[]": entry.get("items"), ".*": named[-1]}
            yield from self.rows({end: it for end, it in inner.items() if isinstance(it, Mapping)}, None, path)

    def full(self, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an entry with what it refers to."""
        reference = entry["allOf"][0]["$ref"] if "allOf" in entry else entry.get("$ref")
        if reference is None:
            return entry
        if "allOf" not in entry and reference in self.owners:
            return {"type": "object", "description": f"Has the keys of {self.owners[reference]}."}
        return {**self.schema["definitions"][reference.rpartition("/")[2]], **entry}


def _kind(entry: Mapping[str, Any]) -> str:
    if "anyOf" in entry:
        return " or ".join(map(_kind, entry["anyOf"]))
    if "enum" in entry:
        return ", ".join(f"`{choice}`" if choice is not None else "null" for choice in entry["enum"])
    types = [entry["type"]] if isinstance(entry["type"], str) else entry["type"]
    low, high = entry.get("minimum"), entry.get("maximum")
    bounds = "" if low is None else f" from {low}" if high is None else f" {low} to {high}"
    return " or ".join(_WORDS.get(name, name) for name in types).replace("whole number", f"whole number{bounds}")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if len(text) <= _LONG_CHARACTERS else "in values.yaml"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
