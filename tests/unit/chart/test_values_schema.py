"""Schema errors in words: key, file and line, what is wrong, what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.chart import values, values_schema
from harness.errors import HarnessError

SCHEMA: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "additionalProperties": False,
    "required": ["app", "image"],
    "properties": {
        "app": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$"},
        "image": {"type": ["string", "null"]},
        "mode": {"enum": ["external", "embedded"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "fixed": {"const": 5},
        "told": {"type": "null", "$comment": "that cannot be; leave it out"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2, "uniqueItems": True},
        "either": {"anyOf": [{"type": "integer"}, {"type": "object", "properties": {"x": {"type": "integer"}}}]},
        "workers": {
            "type": "object",
            "additionalProperties": False,
            "patternProperties": {
                "^[a-z-]+$": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"concurrency": {"type": "integer"}, "pool": {"type": "string"}},
                }
            },
        },
        "labels": {"type": "object", "additionalProperties": False, "patternProperties": {"^[a-z]+$": {}}},
    },
}


def check(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "values.yaml").write_text("app: ab\nimage: null\n")
    (tmp_path / "values.schema.json").write_text(json.dumps(SCHEMA))
    mine = tmp_path / "mine.yaml"
    mine.write_text(text)
    found = values_schema.check(values.read([mine], chart=tmp_path), chart=tmp_path)
    return [problem.text().replace(f"{tmp_path}/", "") for problem in found]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("count: x", 'count (mine.yaml:1): "x" is text; must be a whole number'),
        ("count: 0", "count (mine.yaml:1): 0 is too small; must be 1 or more"),
        ("count: 10", "count (mine.yaml:1): 10 is too large; must be 9 or less"),
        ("share: 0", "share (mine.yaml:1): 0 is too small; must be more than 0"),
        ("share: 1", "share (mine.yaml:1): 1 is too large; must be less than 1"),
        ("app: a", 'app (mine.yaml:1): "a" is too short; give at least 2 characters'),
        ("app: abcde", 'app (mine.yaml:1): "abcde" is too long; give at most 4 characters'),
        ("app: A1", 'app (mine.yaml:1): "A1" has the wrong form; must match ^[a-z]+$'),
        ("image: 5", "image (mine.yaml:1): 5 is a number; must be text or null"),
        ("image: true", "image (mine.yaml:1): true is a boolean; must be text or null"),
        ("mode: extrnal", 'mode (mine.yaml:1): "extrnal" is not a choice here; use one of "external", "embedded" '
                          "(did you mean external?)"),
        ("fixed: 4", "fixed (mine.yaml:1): 4 is not possible here; must be 5"),
        ("told: 4", "told (mine.yaml:1): that cannot be; leave it out"),
        ("tags: []", "tags (mine.yaml:1): [] has too few entries; give at least 1"),
        ("tags: [a, a]", 'tags (mine.yaml:1): ["a", "a"] names something twice; name it once'),
        ("tags:\n- a\n- 5", "tags[1] (mine.yaml:3): 5 is a number; must be text"),
        ("\nmod: x", "mod (mine.yaml:2): unknown key 'mod'; did you mean mode?"),
        ("workers:\n  io:\n    concurency: 1", "workers.io.concurency (mine.yaml:3): unknown key 'concurency'; "
                                               "did you mean concurrency?"),
        ("workers:\n  io:\n    zzz: 1", "workers.io.zzz (mine.yaml:3): unknown key 'zzz'; "
                                        "remove it; the keys here are concurrency, pool"),
        ("workers:\n  Io: {}", "workers.Io (mine.yaml:2): the name has the wrong form; must match ^[a-z-]+$"),
        ("labels: {A: 1}", "labels.A (mine.yaml:1): the name has the wrong form; must match ^[a-z]+$"),
        ("app: null", "app (mine.yaml:1): is missing; add it"),
        ("either: {x: what}", 'either.x (mine.yaml:1): "what" is text; must be a whole number'),
    ],
)  # fmt: skip
def test_one_error_of_each_kind(tmp_path: Path, text: str, message: str) -> None:
    assert check(tmp_path, text) == [message]


def test_every_error_is_reported_in_order(tmp_path: Path) -> None:
    found = check(tmp_path, "count: x\nfoo: 1\nbar: 2\nmode: 3\n")
    assert [line.split(" ")[0] for line in found] == ["bar", "count", "foo", "mode"]


def test_values_in_order_have_no_problem_and_no_schema_means_no_check(tmp_path: Path) -> None:
    assert check(tmp_path, "count: 3\nworkers: {io: {pool: gevent}}\neither: 3\n") == []
    (tmp_path / "values.schema.json").unlink()
    read = values.read([], set_values={"anything": 1}, chart=tmp_path)
    assert values_schema.check(read, chart=tmp_path) == []


def test_a_broken_schema_is_no_fault_of_the_values(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("")
    (tmp_path / "values.schema.json").write_text('{"type": "nonsense"}')
    with pytest.raises(HarnessError, match="not a JSON schema of draft 7"):
        values_schema.check(values.read([], chart=tmp_path), chart=tmp_path)
