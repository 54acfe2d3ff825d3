"""The values schema is made of comments, defaults and the fragment; what stands in only one of them is refused."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from harness.chart import schema_source, values_reference
from harness.chart.values import CHART
from harness.errors import InputError

VALUES = """
# -- Name of the thing,
# in two lines.
name: x
# A section.
section:
  # -- How many.
  count: 3
  # -- Unset by default.
  limit: null
# -- Labels.
labels: {}
# What an item is unless it says otherwise.
itemDefaults:
  # -- Its size.
  size: 1
  # Further.
  inner:
    # -- Whether.
    enabled: false
# -- Items by name.
items: {}
"""
FRAGMENT = """
shapes: {itemDefaults: item}
definitions: {item: {description: An item.}}
values:
  section.count: {minimum: 1}
  section.limit: {type: [integer, "null"]}
  labels: {additionalProperties: {type: string}}
  items: {additionalProperties: {$ref: '#/definitions/item'}}
"""


def test_a_schema_has_types_of_defaults_texts_of_comments_and_bounds_of_the_fragment() -> None:
    schema = schema_source.build(VALUES, FRAGMENT)
    assert schema["properties"]["name"] == {"description": "Name of the thing, in two lines.", "type": "string"}
    section = schema["properties"]["section"]
    assert section["properties"]["count"] == {"description": "How many.", "type": "integer", "minimum": 1}
    assert (section["additionalProperties"], section["required"]) == (False, ["count"])
    assert schema["required"] == ["name", "section", "labels", "itemDefaults", "items"]


def test_a_shape_is_whole_in_its_defaults_and_may_leave_out_every_key_elsewhere() -> None:
    schema = schema_source.build(VALUES, FRAGMENT)
    item = schema["definitions"]["item"]
    assert item["description"] == "An item."
    assert "required" not in item
    assert "required" not in item["properties"]["inner"]
    whole = schema["properties"]["itemDefaults"]["allOf"]
    assert whole == [
        {"$ref": "#/definitions/item"},
        {"required": ["size", "inner"], "properties": {"inner": {"required": ["enabled"]}}},
    ]


@pytest.mark.parametrize(
    ("values", "fragment", "message"),
    [
        (VALUES + "bare: 1\n", FRAGMENT, "values.yaml:23: bare has no comment above it"),
        (VALUES + "# About it.\nbare: 1\n", FRAGMENT, "the comment of bare, a leaf, begins with `# --`"),
        (VALUES + "# -- A.\n\nbare: 1\n", FRAGMENT, "bare has no comment above it"),
        (VALUES + "# -- A.\nnothing: null\n", FRAGMENT, "nothing needs a type: its default is null"),
        (VALUES + "# -- A.\nmany: []\n", FRAGMENT, "many needs `items`"),
        (VALUES + "# -- A.\nmap: {a: 1}\n", FRAGMENT, "map needs `additionalProperties`"),
        (VALUES + "# A.\nmap: {a: 1}\n", FRAGMENT, "map.a has no comment above it"),
        (VALUES, FRAGMENT + "  section.gone: {minimum: 1}\n", "section.gone is no leaf of values.yaml"),
        (VALUES, FRAGMENT + "  section: {minProperties: 1}\n", "section is no leaf of values.yaml"),
        (VALUES, FRAGMENT.replace("itemDefaults: item", "gone: item"), "gone is no key of values.yaml"),
        (VALUES, FRAGMENT + "valeus: {}\n", "unknown key valeus"),
    ],
)
def test_what_stands_in_only_one_file_is_refused(values: str, fragment: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        schema_source.build(values, fragment)
    assert message in str(caught.value)


def test_the_reference_has_a_row_for_each_leaf() -> None:
    schema = schema_source.build(VALUES.replace("Labels.", "Labels <a|b>."), FRAGMENT)
    defaults = {"name": "x", "section": {"count": 3, "limit": None}, "labels": {}, "itemDefaults": {"size": 1}}
    readme = f"before\n{values_reference.BEGIN}\nformer\n{values_reference.END}\nafter\n"
    text = values_reference.insert(readme, schema, defaults)
    assert "former" not in text
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert '| `name` | text | `"x"` | Name of the thing, in two lines. |' in text
    assert "| `section.count` | whole number from 1 | `3` | How many. |" in text
    assert "| `labels` | map | `{}` | Labels &lt;a\\|b>. |" in text
    assert "| `items.*` | map |  | Has the keys of itemDefaults. |" in text
    assert values_reference.insert(text, schema, defaults) == text


def leaves(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, entry in schema.get("properties", {}).items():
        yield f"{path}.{key}", entry
        yield from leaves(entry, f"{path}.{key}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            yield from leaves(schema[key], f"{path}.{key}")


def test_every_key_of_the_chart_has_a_description_and_a_type() -> None:
    schema = schema_source.build((CHART / "values.yaml").read_text(), (CHART / "schema.fragment.yaml").read_text())
    found = [*leaves(schema), *(pair for name, entry in schema["definitions"].items() for pair in leaves(entry, name))]
    assert len(found) > 100
    for path, entry in found:
        assert entry.get("description"), path
        assert {"type", "anyOf", "allOf", "$ref"} & entry.keys(), path


def test_the_generator_stays_small() -> None:
    """Past 200 lines a tool that others keep would be the better choice (docs/adr/0007-schema-from-values.md)."""
    sources = [inspect.getsource(module) for module in (schema_source, values_reference)]
    assert sum(len(text.splitlines()) for text in sources) <= 200
