"""Mutants of values, made of the schema: each property with another type, out of range, misspelt, or another value.

Pure: a schema and values in, mutants out. Values that no schema keyword bounds come from the samples below; a property
that none of them fits is an error, so that a new kind of property gets its sample.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema

from harness.chart.yaml_strict import KeyPath, show_path

WRONG_TYPE, OUT_OF_RANGE, MISSPELT, OTHER_VALUE = "wrong type", "out of range", "misspelt", "other value"
_OF_TYPE: Mapping[str, Any] = {
    "string": "mutant", "integer": 7, "number": 7.5, "boolean": True, "array": ["mutant"], "object": {"mutant": "x"}
}  # fmt: skip
_WORDS = (
    "mutant", "mutant.mutant:app", "7m", "7h", "77Mi", "7Gi", "7", "7.7", "7%", "https://mutant.example:9090",
    "Mutant/Zone", "sha256:" + "7" * 64, "7 7 7 7 *", "", "not a word!", "5 min", "ö", "x" * 400, "-",
)  # fmt: skip
_OPEN_ENTRY = {"name": "mutant", "image": "mutant"}
MISSPELT_SUFFIX = "Mutant"
_IMPOSSIBLE_NAME = "no name!"


@dataclass(frozen=True)
class Place:
    """Where values have a property of the schema: `pattern` is its path with `*` and `[]` for what users name."""

    pattern: str
    path: KeyPath
    schema: Mapping[str, Any]
    value: Any
    in_closed_map: bool = False
    in_named_map: bool = False
    unless: Mapping[str, Any] | None = None  # what a condition that holds here asks for beside the schema


@dataclass(frozen=True)
class Mutant:
    """One change of one place."""

    place: Place
    kind: str
    value: Any = None  # the new value, or the new name of a misspelt key

    @property
    def path(self) -> KeyPath:
        """Where the change is: the new key for a misspelt one."""
        return (*self.place.path[:-1], self.value) if self.kind == MISSPELT else self.place.path

    def __str__(self) -> str:
        return f"{self.kind}: {show_path(self.place.path)} -> {str(self.value)[:60]!r}"


class Schema:
    """A schema with its definitions at hand."""

    def __init__(self, whole: Mapping[str, Any]) -> None:
        self.whole = whole

    def patterns(self) -> set[str]:
        """Return the pattern of every property, and of every condition on one."""
        return {place.pattern for place in self._walk(self.whole, None, (), "")}

    def places(self, values: Mapping[str, Any]) -> list[Place]:
        """Return every place of these values that the schema has a property for."""
        return list(self._walk(self.whole, values, (), ""))

    def accepts(self, entry: Mapping[str, Any], value: Any) -> bool:
        """Return whether a value is valid under an entry of this schema."""
        whole = {**entry, "definitions": self.whole.get("definitions", {})}
        return jsonschema.Draft7Validator(whole).is_valid(value)

    def resolve(self, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an entry with what it refers to."""
        for part in (entry, *entry.get("allOf", ())):
            if "$ref" in part:
                return {**self.whole["definitions"][part["$ref"].rpartition("/")[2]], "description": ""}
        return entry

    def _walk(self, entry: Mapping[str, Any], value: Any, path: KeyPath, pattern: str) -> Iterator[Place]:
        """Yield the places inside `value`; for a value of None (no values at all) one of each pattern."""
        for step, mark, inner, closed, named in self._inside(entry, value):
            found = self.resolve(inner)
            here = (*path, step)
            below = None if value is None else value[step]
            yield Place(f"{pattern}{mark}".lstrip(" ."), here, found, below, closed, named)
            if value is None or below is not None:
                yield from self._walk(found, below, here, f"{pattern}{mark}")
        for condition in entry.get("allOf", ()):
            if "if" in condition and (value is None or self.accepts(condition["if"], value)):
                yield from self._conditional(entry, condition["then"], value, path, f"{pattern} if")

    def _inside(self, entry: Mapping[str, Any], value: Any) -> Iterator[tuple[Any, str, Mapping[str, Any], bool, bool]]:
        known = entry.get("properties", {})
        others = [*entry.get("patternProperties", {}).values(), entry.get("additionalProperties")]
        named = next((other for other in others if isinstance(other, Mapping)), None)
        closed = entry.get("additionalProperties") is False
        for key, inner in known.items():
            if value is None or (isinstance(value, dict) and key in value):
                yield key, f".{key}", inner, closed, False
        if named is not None:
            keys = ["*"] if value is None else [key for key in value if key not in known]
            yield from ((key, ".*", named, False, "patternProperties" in entry) for key in keys)
        if isinstance(entry.get("items"), Mapping):
            yield from ((i, "[]", entry["items"], False, False) for i in ([0] if value is None else range(len(value))))

    def _conditional(
        self, plain: Mapping[str, Any], then: Mapping[str, Any], value: Any, path: KeyPath, pattern: str
    ) -> Iterator[Place]:
        for key, inner in then.get("properties", {}).items():
            below = value.get(key) if isinstance(value, dict) else None
            found = self.resolve(plain["properties"][key])
            if "properties" in inner:
                yield from self._conditional(found, inner, below, (*path, key), f"{pattern}.{key}")
            else:
                yield Place(f"{pattern}.{key}".lstrip(" ."), (*path, key), found, below, unless=inner)


def mutants(schema: Schema, place: Place) -> list[Mutant]:
    """Return the mutants of a place. Raises ValueError where no sample fits it."""
    if place.unless is not None:
        refused = [value for value in _candidates(schema, place) if not schema.accepts(place.unless, value)]
        return [Mutant(place, OUT_OF_RANGE, value) for value in refused if schema.accepts(place.schema, value)][:2]
    found = [Mutant(place, WRONG_TYPE, value) for value in _wrong_types(place.schema)]
    found += [Mutant(place, OUT_OF_RANGE, value) for value in _out_of_range(schema, place)]
    if place.in_closed_map:
        found.append(Mutant(place, MISSPELT, f"{place.path[-1]}{MISSPELT_SUFFIX}"))
    if place.in_named_map:
        found.append(Mutant(place, MISSPELT, _IMPOSSIBLE_NAME))
    return found


def other_values(schema: Schema, place: Place) -> list[Mutant]:
    """Return other values that the schema takes in this place, likely ones first."""
    good = [
        value for value in _candidates(schema, place) if value != place.value and schema.accepts(place.schema, value)
    ]
    return [Mutant(place, OTHER_VALUE, value) for value in good]


def applied(values: Mapping[str, Any], changes: Sequence[Mutant]) -> dict[str, Any]:
    """Return a copy of values with these changes; no two may be on one path or inside each other."""
    result = copy.deepcopy(dict(values))
    for mutant in changes:
        around: Any = result
        for key in mutant.place.path[:-1]:
            if isinstance(around, dict):
                around.setdefault(key, {})
            around = around[key]
        last = mutant.place.path[-1]
        if mutant.kind == MISSPELT:
            around[mutant.value] = around.pop(last)
        else:
            around[last] = copy.deepcopy(mutant.value)
    return result


def batches(found: Sequence[Mutant]) -> list[list[Mutant]]:
    """Return the mutants in groups whose paths do not touch, so that one check tells of each."""
    groups: list[_Group] = []
    for mutant in found:
        group = next((group for group in groups if group.has_room(mutant)), None)
        if group is None:
            group = _Group()
            groups.append(group)
        group.add(mutant)
    return [group.members for group in groups]


@dataclass
class _Group:
    """Mutants whose paths do not touch."""

    members: list[Mutant] = field(default_factory=list)
    taken: set[KeyPath] = field(default_factory=set)
    around: set[KeyPath] = field(default_factory=set)

    def has_room(self, mutant: Mutant) -> bool:
        return mutant.place.path not in self.around and self.taken.isdisjoint(_upwards(mutant.place.path))

    def add(self, mutant: Mutant) -> None:
        self.members.append(mutant)
        self.taken.add(mutant.place.path)
        self.around |= _upwards(mutant.place.path)


def _upwards(path: KeyPath) -> set[KeyPath]:
    return {path[:length] for length in range(1, len(path) + 1)}


def types(entry: Mapping[str, Any]) -> set[str]:
    """Return the types an entry allows; all of them where it says nothing."""
    if "anyOf" in entry:
        return set().union(*map(types, entry["anyOf"]))
    named = entry.get("type", [*_OF_TYPE, "null"])
    return {named} if isinstance(named, str) else set(named)


def _wrong_types(entry: Mapping[str, Any]) -> list[Any]:
    allowed = types(entry)
    allowed |= {"integer"} if "number" in allowed else set()
    return [value for name, value in _OF_TYPE.items() if name not in allowed]


def _out_of_range(schema: Schema, place: Place) -> list[Any]:
    allowed = types(place.schema)
    words = list(_WORDS) if "string" in allowed else []
    numbers = _numbers(place) if {"integer", "number"} & allowed else []
    empty: list[Any] = [[]] if "array" in allowed else []
    empty += [{}] if "object" in allowed and not place.in_closed_map else []  # there it is laid over the defaults
    refused = [value for value in [*words, *numbers, *empty] if not schema.accepts(place.schema, value)]
    return refused[:2] + refused[-1:] if len(refused) > 2 else refused


def _numbers(place: Place) -> list[Any]:
    entries = [place.schema, *place.schema.get("anyOf", ())]
    edges = [edge for entry in entries for key, edge in entry.items() if key.lower().endswith(("minimum", "maximum"))]
    value = place.value if isinstance(place.value, (int, float)) and not isinstance(place.value, bool) else 1
    return [value + 1, value * 2, value - 1, 7, *edges, *(edge - 1 for edge in edges), *(edge + 1 for edge in edges)]


def _candidates(schema: Schema, place: Place) -> Iterator[Any]:
    entry, value = place.schema, place.value
    allowed = types(entry)
    yield from entry.get("enum", ())
    if "boolean" in allowed:
        yield value is not True
    if {"integer", "number"} & allowed:
        yield from _numbers(place)
    if "string" in allowed:
        yield from _WORDS
    if "array" in allowed:
        yield from _lists(schema, entry, value or [])
    if "object" in allowed and not entry.get("properties"):
        yield from ({**(value or {}), key: "mutant"} for key in ("mutant", "memory"))
        yield from ({**(value or {}), "mutant": filled} for filled in (7, "7m", {}))


def _lists(schema: Schema, entry: Mapping[str, Any], value: list[Any]) -> Iterator[list[Any]]:
    items = schema.resolve(entry["items"])
    properties = {key: schema.resolve(inner) for key, inner in items.get("properties", {}).items()}
    filled = {
        key: next(sample for sample in _candidates(schema, Place("", (), inner, None)) if schema.accepts(inner, sample))
        for key, inner in properties.items()
        if key in items.get("required", list(properties)[:1])
    }
    for sample in (_OPEN_ENTRY, filled, 7, 77, "mutant"):
        if schema.accepts(items, sample):
            yield [*value, sample]
    if value:
        yield value[:-1]
