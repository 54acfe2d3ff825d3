"""Checks one set of values all the way: schema, chart rules, Kubernetes and KEDA schemas, rules across objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import tools
from harness.chart import (
    custom_resources,
    invariants,
    keda_triggers,
    kubernetes_schema,
    usable_values,
    values_schema,
    yaml_strict,
)
from harness.chart import values as chart_values
from harness.chart.manifests import Manifest, ref
from harness.chart.problems import ERROR, WARNING, Problem
from harness.chart.render import ValuesRefusedError, render_values
from harness.chart.values import CHART, Values
from harness.chart.yaml_strict import KeyPath
from harness.errors import InputError

PASSED = "passed"
FAILED = "failed"
NOT_CHECKED = "not checked"
CAPACITY = "capacity"
"""The check, of a caller's, whether the values hold a load."""


@dataclass(frozen=True)
class Check:
    """One kind of check: what it looked at, and what it found."""

    name: str
    status: str  # PASSED, FAILED or NOT_CHECKED
    subject: str  # what was looked at, or why nothing was
    problems: tuple[Problem, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the check for a JSON document."""
        return {
            "name": self.name,
            "status": self.status,
            "subject": self.subject,
            "problems": [problem.to_dict() for problem in self.problems],
        }


MoreChecks = Callable[[Sequence[Manifest]], Iterable[Check]]


@dataclass(frozen=True)
class Report:
    """All checks of one set of values."""

    values: tuple[str, ...]
    release: str
    namespace: str
    objects: Mapping[str, int]  # kind -> number
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing but warnings was found."""
        return all(check.status != FAILED for check in self.checks)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem, in the order of the checks."""
        return tuple(problem for check in self.checks for problem in check.problems)

    def to_dict(self) -> dict[str, Any]:
        """Return the report for a JSON document."""
        return {
            "ok": self.ok,
            "values": list(self.values),
            "release": self.release,
            "namespace": self.namespace,
            "objects": dict(self.objects),
            "checks": [check.to_dict() for check in self.checks],
        }


def validate(
    values: Sequence[Path],
    *,
    release: str = "celery",
    namespace: str = "default",
    set_values: Mapping[str, Any] | None = None,
    helm: Path | None = None,
    chart: Path = CHART,
    versions: Sequence[str] | None = None,
    more: Sequence[MoreChecks] = (),
) -> Report:
    """Return what is wrong with the chart under these values; unusable values are problems of the report.

    `versions` are the Kubernetes versions to check against, all supported ones by default; `more` are checks of the
    caller's on what was rendered. Raises HarnessError when a check itself cannot run (no helm, no chart), and
    InputError for a bad release name or namespace.
    """
    names = tuple(yaml_strict.shown(path) for path in values) + (("--set",) if set_values else ())
    try:
        loaded = chart_values.read(values, set_values=set_values, chart=chart)
    except InputError as error:
        unreadable = Problem("", str(error), rule="yaml")
        return Report(names, release, namespace, {}, (_check("values", ", ".join(names), [unreadable]),))
    schema = check_schema(loaded, chart=chart)
    program = helm or tools.find_helm()
    try:
        usable, removed = usable_values.usable_part(loaded, chart=chart)
        rendered = render_values(usable, release=release, namespace=namespace, helm=program, chart=chart)
    except ValuesRefusedError as error:
        return Report(names, release, namespace, {}, (schema, _check_rules(program, error.problems, removed)))
    if removed:
        return Report(names, release, namespace, {}, (schema, _check_rules(program, (), removed)))
    warnings = [Problem("", text, severity=WARNING, rule="helm-warning") for text in rendered.warnings]
    checks = check_manifests(rendered.manifests, versions=versions)
    if all(check.status != FAILED for check in (schema, *checks)):
        checks = (*checks, *(check for each in more for check in each(rendered.manifests)))
    kinds = Counter(str(manifest.get("kind")) for manifest in rendered.manifests)
    return Report(names, release, namespace, kinds, (schema, _check_rules(program, warnings, ()), *checks))


def check_schema(loaded: Values, *, chart: Path = CHART) -> Check:
    """Check merged values against the chart's schema."""
    if not values_schema.schema_file(chart).exists():
        return Check("values", NOT_CHECKED, "the chart has no values.schema.json")
    return _check("values", "merged values against values.schema.json", values_schema.check(loaded, chart=chart))


def _check_rules(helm: Path, problems: Sequence[Problem], removed: Sequence[KeyPath]) -> Check:
    """Return the check of the chart's own rules; of what the schema refused they say nothing."""
    gone = [yaml_strict.show_path(path) for path in removed]
    left = [problem for problem in problems if not any(_is_within(problem.path, path) for path in gone)]
    subject = f"rendered by helm {'.'.join(map(str, tools.helm_version(helm)))}"
    return _check("chart rules", subject + (", with defaults for what the schema refused" if gone else ""), left)


def _is_within(path: str, outer: str) -> bool:
    return path == outer or path.startswith((f"{outer}.", f"{outer}["))


def check_manifests(manifests: Sequence[Manifest], *, versions: Sequence[str] | None = None) -> tuple[Check, ...]:
    """Check rendered objects: Kubernetes schemas, those of custom resources, and the rules across objects."""
    chosen = kubernetes_schema.choose_versions(versions or ())
    custom = [_check_custom(provider, manifests) for provider in custom_resources.definitions()]
    others = [m for m in manifests if not any(provider.knows(m) for provider in custom_resources.definitions())]
    found = {index: kubernetes_schema.check_versions(manifest, chosen) for index, manifest in enumerate(others)}
    unknown = sorted({str(others[index].get("kind")) for index, problems in found.items() if problems is None})
    kubernetes = [_inside(others[index], problem) for index, problems in found.items() for problem in problems or []]
    known = len(others) - sum(problems is None for problems in found.values())
    checks = [_check("kubernetes", f"{known} objects, Kubernetes {kubernetes_schema.span(chosen)}, strict", kubernetes)]
    checks += [check for check in custom if check]
    if unknown:
        checks.append(Check("other kinds", NOT_CHECKED, f"no schema here for {', '.join(unknown)}"))
    rules = f"{len(invariants.RULES)} rules across {len(manifests)} objects"
    return (*checks, _check("invariants", rules, invariants.check(manifests)))


def _check_custom(provider: custom_resources.Definitions, manifests: Sequence[Manifest]) -> Check | None:
    own = [manifest for manifest in manifests if provider.knows(manifest)]
    if not own:
        return None
    problems = [
        _inside(manifest, problem)
        for manifest in own
        for problem in (*provider.check(manifest), *keda_triggers.check(manifest))
    ]
    return _check(provider.name, f"{len(own)} objects, as {provider.version} defines them, strict", problems)


def _inside(manifest: Manifest, problem: Problem) -> Problem:
    return replace(problem, path=f"{ref(manifest)} {problem.path}".strip())


def _check(name: str, subject: str, problems: Sequence[Problem]) -> Check:
    failed = any(problem.severity == ERROR for problem in problems)
    return Check(name, FAILED if failed else PASSED, subject, tuple(problems))
