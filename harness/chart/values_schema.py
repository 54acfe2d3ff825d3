"""Checks values against the chart's values.schema.json, reporting every error with its key, source and fix."""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
from jsonschema.exceptions import ValidationError, relevance

from harness.chart import yaml_strict
from harness.chart.problems import Problem
from harness.chart.values import CHART, Values
from harness.chart.yaml_strict import KeyPath
from harness.errors import HarnessError

RULE = "values-schema"
_SHOWN_KEYS = 15
_SHOWN_CHARACTERS = 60
_JSON_NAMES = {dict: "a map", list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number"}
_TYPE_NAMES = {
    "object": "a map",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "null": "null",
}
# Rule of the schema -> what is wrong, what to do.
_RULES: Mapping[str, tuple[str, str]] = {
    "const": ("is not possible here", "must be {}"),
    "minimum": ("is too small", "must be {} or more"),
    "maximum": ("is too large", "must be {} or less"),
    "exclusiveMinimum": ("is too small", "must be more than {}"),
    "exclusiveMaximum": ("is too large", "must be less than {}"),
    "pattern": ("has the wrong form", "must match {}"),
    "minLength": ("is too short", "give at least {} characters"),
    "maxLength": ("is too long", "give at most {} characters"),
    "minItems": ("has too few entries", "give at least {}"),
    "maxItems": ("has too many entries", "give at most {}"),
    "minProperties": ("has too few keys", "give at least {}"),
    "uniqueItems": ("names something twice", "name it once"),
}


def schema_file(chart: Path = CHART) -> Path:
    """Return where the chart's schema stands (or would stand)."""
    return chart / "values.schema.json"


def check(values: Values, *, chart: Path = CHART) -> list[Problem]:
    """Return every disagreement of the merged values with the chart's schema; none when the chart has no schema."""
    return sorted(
        (_problem(found, values) for found in findings(values, chart=chart)), key=lambda problem: problem.path
    )


@dataclass(frozen=True)
class Finding:
    """One disagreement with the schema: where it is, what is wrong, what to do."""

    path: KeyPath
    message: str
    fix: str


def findings(values: Values, *, chart: Path = CHART) -> list[Finding]:
    """Return every disagreement of the merged values with the chart's schema, in no order."""
    path = schema_file(chart)
    if not path.exists():
        return []
    quick, validator = _validators(path.read_text(encoding="utf-8"), str(path))
    if quick.is_valid(values.merged):
        return []
    found = {(it.path, it.message): it for error in validator.iter_errors(values.merged) for it in _explain(error)}
    return list(found.values())


@functools.lru_cache(maxsize=4)
def _validators(text: str, name: str) -> tuple[jsonschema_rs.Draft7Validator, jsonschema.Draft7Validator]:
    """Return what says yes or no at once, and what finds the words for a no."""
    try:
        schema = json.loads(text)
        quick = jsonschema_rs.Draft7Validator(schema)
    except ValueError as error:  # also what no schema of draft 7 is
        raise HarnessError(f"{name} is not a JSON schema of draft 7: {error}") from error
    return quick, jsonschema.Draft7Validator(schema)


def _explain(error: ValidationError) -> Iterator[Finding]:
    if error.context:
        yield from _explain(_closest(error))
        return
    path: KeyPath = tuple(error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        for key in _extra_keys(error):
            yield Finding((*path, key), *_unknown_key(key, error.schema))
    elif error.validator == "required":
        for key in _missing_keys(error):
            yield Finding((*path, key), "is missing", "add it")
    else:
        yield Finding(path, *_message(error))


def _problem(found: Finding, values: Values) -> Problem:
    path = yaml_strict.show_path(found.path)
    return Problem(path, found.message, found.fix, rule=RULE, source=values.source(found.path))


def _closest(error: ValidationError) -> ValidationError:
    """Return the error of the alternative that came nearest: the deepest one, one about the type last."""
    return min(error.context or [], key=lambda inner: (-len(inner.path), inner.validator == "type", relevance(inner)))


def _extra_keys(error: ValidationError) -> list[str]:
    schema = _mapping(error.schema)
    known = _mapping(schema.get("properties"))
    patterns = list(_mapping(schema.get("patternProperties")))
    given = _mapping(error.instance)
    return [key for key in given if key not in known and not any(re.search(pattern, key) for pattern in patterns)]


def _missing_keys(error: ValidationError) -> list[str]:
    # jsonschema reports one error a missing key and names it only in its message
    return [key for key in map(str, _items(error.validator_value)) if repr(key) in error.message]


def _unknown_key(key: str, schema: Any) -> tuple[str, str]:
    """Return what is wrong with a key that a closed map does not have, and what to do."""
    known = sorted(_mapping(_mapping(schema).get("properties")))
    patterns = list(_mapping(_mapping(schema).get("patternProperties")))
    if patterns and not known:
        return "the name has the wrong form", f"must match {' or '.join(patterns)}"
    close = difflib.get_close_matches(key, known, n=1)
    shown = ", ".join(known[:_SHOWN_KEYS]) + (", ..." if len(known) > _SHOWN_KEYS else "")
    fix = f"did you mean {close[0]}?" if close else f"remove it; the keys here are {shown}" if known else "remove it"
    return f"unknown key {key!r}", fix


def _message(error: ValidationError) -> tuple[str, str]:
    """Return what is wrong and what to do, for the kinds of rule a values schema has."""
    shown, wanted = _show(error.instance), error.validator_value
    reason, _, remedy = str(_mapping(error.schema).get("$comment", "")).partition("; ")
    if reason:
        return reason, remedy
    if error.validator == "type":
        return f"{shown} is {_kind(error.instance)}", f"must be {_types(wanted)}"
    if error.validator == "enum":
        return f"{shown} is not a choice here", f"use one of {_choices(wanted)}{_close(error.instance, wanted)}"
    message, fix = _RULES.get(str(error.validator), ("", ""))
    return f"{shown} {message}" if message else error.message, fix.format(wanted)


def _choices(wanted: Any) -> str:
    return ", ".join(map(_show, _items(wanted)))


def _close(value: Any, wanted: Any) -> str:
    words = [word for word in _items(wanted) if isinstance(word, str)]
    close = difflib.get_close_matches(value, words, n=1) if isinstance(value, str) else []
    return f" (did you mean {close[0]}?)" if close else ""


def _types(wanted: Any) -> str:
    names = [wanted] if isinstance(wanted, str) else _items(wanted)
    return " or ".join(_TYPE_NAMES.get(name, name) for name in names)


def _kind(value: Any) -> str:
    return _JSON_NAMES.get(type(value), "null")


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
