"""Collects what the checklist is held against, and judges it."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.chart import render, values
from harness.checklist import around, release
from harness.checklist.lines import Line, Run, Subject
from harness.spike import facts, report
from harness.spike.local_ground import redis_secret

RUNBOOK = values.ROOT / "docs" / "runbook.md"
BREAKER = "CircuitBreaker"
LIBRARY = "celery_workers"
LINES = (release.scaling, release.overflow, around.breakers, release.alerts, around.load_test, around.runbook)
"""In the guide's order."""


def check(
    files: Sequence[Path],
    *,
    set_values: Mapping[str, Any],
    release_name: str,
    namespace: str,
    reports: Path,
    runbook: Path,
    path: Path,
    known_commands: Collection[str],
) -> tuple[Line, ...]:
    """Check the values' release. `path` is where the application is looked for beside the usual places.

    Raises InputError for values that are refused.
    """
    manifests = render.render(files, release=release_name, namespace=namespace, set_values=set_values)
    topology = render.topology(manifests)
    merged = values.load_values(files, set_values=set_values)
    app = str(merged["app"])
    subject = Subject(
        environment=str(merged["environment"]),
        app=app,
        manifests=manifests,
        classes=facts.classes_of(manifests, topology),
        queues=facts.queues_of(topology),
        redis_secret=redis_secret(manifests),
        breaker_files=breaker_files(app, path),
        has_own_alerts="alerts" in merged["monitoring"],
        runs=[_run(one) for one in report.runs(reports) if not one.result.foretold],
        runbook=runbook.read_text(encoding="utf-8", errors="replace") if runbook.is_file() else None,
        runbook_name=runbook.name,
        known_commands=frozenset(known_commands),
    )
    return tuple(line(subject) for line in LINES)


def _run(one: report.Run) -> Run:
    result = one.result
    return Run(
        folder=one.directory.name,
        scenario=result.scenario,
        runtime=result.runtime,
        passed=result.passed,
        lost=result.counts.lost,
        missed=tuple(miss.title for miss in result.missed),
        completed_by_queue={queue: int(row["completed"] or 0) for queue, row in result.by_queue.items()},
        classes=result.setup.get("classes", {}),
        queues=result.setup.get("queues", {}),
    )


def breaker_files(app: str, path: Path) -> tuple[str, ...] | None:
    """Return the files of an application's package that make circuit breakers, None where there is no such package.

    Nothing of it is run.
    """
    package = app.partition(":")[0].partition(".")[0]
    spec = importlib.machinery.PathFinder.find_spec(package, [str(path)]) or importlib.util.find_spec(package)
    if spec is None:
        return None
    found = [file for file in _sources(spec) if _makes_breakers(file)]
    return tuple(sorted(_shown(file, spec) for file in found))


def _sources(spec: importlib.machinery.ModuleSpec) -> Iterator[Path]:
    if spec.submodule_search_locations:
        for location in spec.submodule_search_locations:
            yield from Path(location).rglob("*.py")
    elif spec.origin:
        yield Path(spec.origin)


def _shown(file: Path, spec: importlib.machinery.ModuleSpec) -> str:
    for location in spec.submodule_search_locations or ():
        if file.is_relative_to(location):
            return f"{spec.name}/{file.relative_to(location)}"
    return file.name


def _makes_breakers(file: Path) -> bool:
    """Whether a file calls the CircuitBreaker that it imports from celery_workers."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8", errors="replace"))
    except SyntaxError:
        return False
    nodes = list(ast.walk(tree))
    imported = any(_imports_library(node) for node in nodes)
    return imported and any(_is_breaker(node.func) for node in nodes if isinstance(node, ast.Call))


def _imports_library(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").partition(".")[0] == LIBRARY
    return isinstance(node, ast.Import) and any(name.name.partition(".")[0] == LIBRARY for name in node.names)


def _is_breaker(function: ast.expr) -> bool:
    return (isinstance(function, ast.Name) and function.id == BREAKER) or (
        isinstance(function, ast.Attribute) and function.attr == BREAKER
    )
