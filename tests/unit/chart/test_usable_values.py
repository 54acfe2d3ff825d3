"""Taking out of values what the schema refuses leaves everything else where it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.chart import values, values_schema
from harness.chart.usable_values import usable_part
from harness.errors import HarnessError

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["count", "list"],
    "properties": {
        "count": {"type": "integer"},
        "list": {
            "type": "array",
            "maxItems": 3,
            "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        },
        "map": {
            "type": "object",
            "properties": {"inner": {"type": "string"}, "other": {"type": "string"}},
            "if": {"required": ["mode"]},
            "then": {"properties": {"inner": {"const": "x"}}},
        },
    },
}
GOOD = [{"name": "a"}, {"name": "b"}]


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    (tmp_path / "values.yaml").write_text("count: 1\nlist: []\nmap: {inner: default, other: default}\n")
    (tmp_path / "values.schema.json").write_text(json.dumps(SCHEMA))
    return tmp_path


@pytest.mark.parametrize(
    ("given", "expected", "removed"),
    [
        ({"count": 2}, {"count": 2}, set()),
        ({"count": "x", "map": {"other": "mine"}}, {"map": {"other": "mine"}}, {("count",)}),
        ({"count": None}, {}, {("count",)}),
        ({"unknown": 1}, {}, {("unknown",)}),
        ({"map": 5}, {}, {("map",)}),
        ({"map": {"inner": 5, "other": "mine"}}, {"map": {"other": "mine"}}, {("map", "inner")}),
        # what is refused was not given: the map around it was
        ({"map": {"mode": 1}}, {}, {("map",), ("map", "inner")}),
        # the third entry keeps its place
        ({"list": [GOOD[0], 5, GOOD[1]]}, {"list": [GOOD[0], GOOD[0], GOOD[1]]}, {("list", 1)}),
        ({"list": [{"name": 5}, GOOD[1]]}, {"list": [GOOD[1], GOOD[1]]}, {("list", 0), ("list", 0, "name")}),
        ({"list": [5, 6]}, {}, {("list",), ("list", 0), ("list", 1)}),
        ({"list": GOOD * 2}, {}, {("list",)}),
    ],
)
def test_only_what_is_refused_goes(chart: Path, given: Any, expected: Any, removed: set[Any]) -> None:
    loaded = values.read([], set_values=given, chart=chart)
    usable, gone = usable_part(loaded, chart=chart)
    assert usable.overrides == expected
    assert set(gone) == removed
    assert values_schema.findings(usable, chart=chart) == []
    assert loaded.overrides == given, "the values that were given stay as they are"


def test_refused_defaults_are_the_charts_fault(chart: Path) -> None:
    (chart / "values.yaml").write_text("count: x\nlist: []\n")
    with pytest.raises(HarnessError, match="the chart's own defaults are refused at count"):
        usable_part(values.read([], chart=chart), chart=chart)
