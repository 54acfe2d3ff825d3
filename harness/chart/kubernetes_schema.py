"""Checks manifests against the strict Kubernetes schemas of several versions, offline."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import jsonschema
import jsonschema_rs
import referencing
from jsonschema.exceptions import ValidationError, relevance
from kubernetes_validate.utils import all_versions, major_minor

from harness.chart import yaml_strict
from harness.chart.problems import Problem
from harness.errors import InputError

RULE = "kubernetes-schema"
OLDEST = (1, 29)  # the one place that says which versions are supported; the newest follows the installed schemas


def supported_versions() -> tuple[str, ...]:
    """Return the Kubernetes versions to check: from OLDEST to the newest whose schemas are installed."""
    return tuple(version for version in _schema_folders() if tuple(map(int, version.split("."))) >= OLDEST)


def choose_versions(wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the wanted versions (`1.33`, `v1.33.2`), oldest first; all supported ones for none. Raises InputError."""
    known = list(_schema_folders())
    named = [major_minor(version.removeprefix("v")) for version in wanted]
    for version in named:
        if version not in known:
            raise InputError(f"no schemas for Kubernetes {version}: use one of {', '.join(known)}")
    return tuple(version for version in known if version in named) or supported_versions()


def check(manifest: Mapping[str, Any], version: str) -> list[Problem] | None:
    """Return what is wrong with an object under one version, None when that version has no such kind.

    Paths are inside the object.
    """
    identity = (version, str(manifest.get("apiVersion")), str(manifest.get("kind")))
    schema = _schema(*identity)
    if schema is None:
        return None
    return [] if _quick(*identity).is_valid(manifest) else list(_problems(_validator(*identity), manifest))


def check_versions(manifest: Mapping[str, Any], versions: Sequence[str]) -> list[Problem] | None:
    """Return the problems of an object, each with the versions it concerns; None when no version has the kind."""
    found: dict[Problem, list[str]] = {}
    known = []
    for version in versions:
        problems = check(manifest, version)
        if problems is None:
            continue
        known.append(version)
        for problem in problems:
            found.setdefault(problem, []).append(version)
    if not known:
        return None
    missing = [version for version in versions if version not in known]
    result = [_with_versions(problem, concerned, versions) for problem, concerned in found.items()]
    if missing:
        kind = f"{manifest.get('apiVersion')} {manifest.get('kind')}"
        result.append(
            Problem(
                "",
                f"Kubernetes {span(missing)} has no {kind}",
                "use a kind that every supported version has",
                rule=RULE,
            )
        )
    return result


def _with_versions(problem: Problem, concerned: Sequence[str], versions: Sequence[str]) -> Problem:
    where = "" if list(concerned) == list(versions) else f" (Kubernetes {span(concerned)})"
    return Problem(problem.path, problem.message + where, problem.fix, rule=RULE)


def span(versions: Sequence[str]) -> str:
    """Return some versions in words: `1.29 to 1.37` where none between them is left out.

    >>> span(["1.29"]), span(["1.29", "1.30", "1.31"]), span(["1.29", "1.31"])
    ('1.29', '1.29 to 1.31', '1.29, 1.31')
    """
    known = list(_schema_folders())
    first, last = known.index(versions[0]), known.index(versions[-1])
    if len(versions) > 2 and last - first == len(versions) - 1:
        return f"{versions[0]} to {versions[-1]}"
    return ", ".join(versions)


def _problems(validator: jsonschema.Draft202012Validator, manifest: Mapping[str, Any]) -> Iterator[Problem]:
    for error in validator.iter_errors(manifest):
        nearest = _nearest(error)
        path = yaml_strict.show_path(tuple(nearest.absolute_path))
        yield Problem(path, nearest.message, "correct the field", rule=RULE)


def _nearest(error: ValidationError) -> ValidationError:
    while error.context:
        error = min(error.context, key=relevance)
    return error


@functools.lru_cache(maxsize=512)
def _schema(version: str, api_version: str, kind: str) -> Any:
    group, slash, number = api_version.partition("/")
    if not re.fullmatch(r"[A-Za-z]+", kind) or not re.fullmatch(r"[a-z0-9.]+(/[a-z0-9]+)?", api_version):
        return None  # becomes part of a file name below
    suffix = f"{group.split('.')[0]}-{number}" if slash else group
    return _load(version, f"{kind.lower()}-{suffix}.json")


@functools.lru_cache(maxsize=512)
def _quick(version: str, api_version: str, kind: str) -> jsonschema_rs.Draft202012Validator:
    """Return what says yes or no; nine versions of every object in Python would cost more than helm does."""
    return jsonschema_rs.Draft202012Validator(_schema(version, api_version, kind), registry=_quick_registry(version))


@functools.lru_cache(maxsize=512)
def _validator(version: str, api_version: str, kind: str) -> jsonschema.Draft202012Validator:
    """Return what finds the words for a no."""
    return jsonschema.Draft202012Validator(_schema(version, api_version, kind), registry=_registry(version))


@functools.lru_cache(maxsize=32)
def _quick_registry(version: str) -> jsonschema_rs.Registry:
    definitions = _definitions(version)
    return jsonschema_rs.Registry(resources=[(definitions["$id"], definitions)])


@functools.lru_cache(maxsize=32)
def _registry(version: str) -> Any:
    return referencing.Resource.from_contents(_definitions(version)) @ referencing.Registry()


@functools.lru_cache(maxsize=32)
def _definitions(version: str) -> Any:
    return _load(version, "_definitions.json")


def _load(version: str, name: str) -> Any:
    file = resources.files("kubernetes_validate") / "kubernetes-json-schema" / _schema_folders()[version] / name
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


@functools.cache
def _schema_folders() -> Mapping[str, str]:
    """Return version -> folder of its strict schemas, oldest first."""
    known = all_versions()
    return {major_minor(version): f"v{version}-local-strict" for version in known}
